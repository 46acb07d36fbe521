// What a script needs of the console: a token to call with, and a page that says what can be called.
import { expect, test } from './fixtures.js';

for (const javaScriptEnabled of [true, false]) {
  test(`a token is created once and calls as its person, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async ({ open, people, server }) => {
    const page = await open({ as: people.owner, javaScriptEnabled });
    await page.goto('/settings');
    await page.getByRole('button', { name: 'Create access token' }).click();
    const field = page.getByRole('textbox', { name: 'Your access token' });
    await expect(field).toHaveAttribute('readonly', '');
    const token = await field.inputValue();
    // No browser here: what browsers add by themselves would count for nothing anyway.
    const call = path => fetch(new URL(path, server.console), { headers: { authorization: `Bearer ${token}` } });
    const answer = await call('/api/v1/members');
    expect(answer.status).toBe(200);
    expect((await answer.json()).data.map(member => member.email)).toContain(people.owner.email);
    await page.goto('/settings');
    await expect(field).toHaveCount(0);
    expect(await page.content()).not.toContain(token);
  });
}

test('the management API is described on a page of its own', async ({ open }) => {
  const page = await open();
  await page.goto('/api/v1/docs');
  await expect(page.getByRole('heading', { name: 'Management API', level: 1 })).toBeVisible();
  const summary = page.locator('#createKey summary');
  await expect(summary).toContainText('POST');
  await summary.click();
  await expect(page.locator('#createKey').getByText('ip_allowlist').first()).toBeVisible();
  await expect(page.locator('body')).not.toContainText('`');
  await page.goto('/api/v1/docs#rotateKey');
  await page.reload();
  await expect(page.locator('#rotateKey')).toHaveAttribute('open', '');
});
