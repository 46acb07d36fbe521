// Making a key: what is asked before, what is said after, and how one knows that it did not get lost.
import { createKey, expect, fillNewKey, islands, row, test } from './fixtures.js';
import { word } from './server.js';

const create = page => page.getByRole('button', { name: 'Create', exact: true });
const dialog = page => page.getByRole('dialog');
const ending = page => page.getByLabel('Its last four characters');
const stored = page => page.getByRole('button', { name: 'I have stored it' });

test('a name that another key has: asked once, nothing is lost, and two can be had', async ({ open, server }) => {
  const person = server.person({ org: `create-${word()}` });
  server.key(person.org, 'Nightly export');
  const page = await open({ as: person });
  await page.goto('/keys');
  await fillNewKey(page, 'nightly EXPORT');
  await page.getByLabel('Tier').selectOption({ index: 1 });
  const tier = await page.getByLabel('Tier').inputValue();
  const two = page.getByLabel('Make a second one all the same');
  await expect(two).toBeHidden();
  await create(page).click();
  await expect(two).toBeFocused();
  await expect(two).toHaveAccessibleDescription(/There is a key of this name already, kd_live_/);
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('nightly EXPORT');
  await expect(page.getByLabel('Tier')).toHaveValue(tier);
  await two.check();
  await create(page).click();
  await expect(page.getByLabel('Your new key')).toHaveValue(/^kd_live_/);
});

test('"I have stored it": how the key ends is asked for, a slip costs nothing, and the flag is gone', async ({ open, server }) => {
  const person = server.person({ org: `create-${word()}` });
  const page = await open({ as: person });
  await page.goto('/keys');
  await expect(page.getByRole('heading', { name: 'Three steps to the first call' })).toBeVisible();
  const lost = await createKey(page, 'Maybe lost');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Maybe lost')).toContainText('Not confirmed as stored');

  await islands(page);
  const key = await createKey(page, 'Stored');
  await ending(page).fill('nope');
  await stored(page).click();
  await expect(ending(page)).toHaveAccessibleDescription(/does not end like that/);
  await expect(ending(page)).toBeFocused();
  await expect(page.getByLabel('Your new key'), 'still there to be looked at').toHaveValue(key);
  await ending(page).fill(key.slice(-4));
  await stored(page).click();
  await expect(dialog(page).getByRole('heading', { name: 'Noted that “Stored” is stored.' })).toBeVisible();
  await expect(page.getByLabel('Your new key')).toHaveCount(0);
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Stored')).not.toContainText('Not confirmed');
  await expect(row(page, 'Maybe lost')).toContainText('Not confirmed');

  // Later, on its own page, where the server says what was wrong.
  await row(page, 'Maybe lost').getByRole('link').first().click();
  await ending(page).fill('nope');
  await stored(page).click();
  await expect(ending(page)).toHaveAccessibleDescription(/does not end like that/);
  await ending(page).fill(lost.slice(-4));
  await stored(page).click();
  await expect(page.getByRole('status').filter({ hasText: 'Noted that' })).toBeVisible();
  await expect(ending(page)).toHaveCount(0);
});

test('the first steps are ticked one by one, and gone after the first call', async ({ open, server }) => {
  const person = server.person({ org: `create-${word()}` });
  const page = await open({ as: person });
  await page.goto('/keys');
  const steps = page.getByRole('region', { name: 'Three steps to the first call' });
  await expect(steps.getByText('To do:')).toHaveCount(3);
  const key = await createKey(page, 'First');
  await ending(page).fill(key.slice(-4));
  await stored(page).click();
  await expect(dialog(page).getByRole('heading', { name: 'Noted that “First” is stored.' })).toBeVisible();
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await expect(steps.getByText('Done:')).toHaveCount(2);
  expect((await server.whoami(key)).status).toBe(200);
  await server.finds(`select from key_last_used u join orgs o on o.id = u.org_id where o.slug = '${person.org}'`);
  await page.reload();
  await expect(steps).toHaveCount(0);
  await expect(row(page, 'First').locator('[data-label="Last used"] time')).toHaveText(/just now|ago$/);
});

for (const javaScriptEnabled of [true, false]) {
  test(`the buttons that copy are there ${javaScriptEnabled ? 'with' : 'only with'} JavaScript`, async ({ open, server }) => {
    const page = await open({ as: server.person({ org: `create-${word()}` }), javaScriptEnabled });
    await page.goto('/webhooks');
    await page.getByRole('button', { name: 'Generate secret' }).click();
    await expect(page.getByLabel('Your webhook secret')).toBeVisible();
    await expect(page.getByRole('button', { name: 'Copy secret' })).toBeVisible({ visible: javaScriptEnabled });
  });
}
