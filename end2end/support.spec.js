// A key that is pasted at the support desk does not leave the browser.
import { expect, test } from './fixtures.js';

test('a pasted key is found by its digest, and the paste never travels', async ({ open, people, server }) => {
  const key = server.key('acme-corp', 'Pasted whole');
  const page = await open({ as: people.support });
  const sent = [];
  page.on('request', request => sent.push(request.url(), request.postData() ?? '', JSON.stringify(request.headers())));
  await page.goto('/support');
  for (const paste of [key, `  ${key}\n`, `x-api-key: ${key}`, `"${key}",`, `KEYDESK_API_KEY=${key} it is, sorry...`]) {
    await page.getByLabel('Key hint or digest').fill(paste);
    await page.getByRole('button', { name: 'Find key' }).click();
    await expect(page.getByRole('heading', { name: 'Pasted whole' }), paste).toBeVisible();
    await expect(page.getByRole('main')).toContainText('has leaked it');
    await page.goto('/support');
  }
  const travelled = sent.join('\n');
  expect(travelled, 'this looks at what is sent').toMatch(/query=[0-9a-f]{64}/);
  expect(travelled).not.toContain(key);
  expect(travelled).not.toContain(key.slice(12, -6));
});

test('what is neither hint nor digest nor key is not sent either: said beside the field, and kept', async ({ open, people, server }) => {
  const key = server.key('acme-corp', 'Pasted in part');
  const page = await open({ as: people.support });
  let posts = 0;
  page.on('request', request => { posts += request.method() === 'POST' ? 1 : 0; });
  await page.goto('/support');
  const field = page.getByLabel('Key hint or digest');
  for (const paste of ['', 'the key of Acme', key.slice(0, -3), `${key.slice(0, 30)} ${key.slice(30)}`]) {
    await field.fill(paste);
    await page.getByRole('button', { name: 'Find key' }).click();
    await expect(field).toHaveAccessibleDescription(/with its dots/);
    await expect(field).toBeFocused();
    await expect(field).toHaveValue(paste);
  }
  expect(posts).toBe(0);
});

test('where the browser makes no digests, a key is not sent: what to ask for is said', async ({ open, people, server }) => {
  const key = server.key('acme-corp', 'Over plain http');
  const page = await open({ as: people.support });
  await page.addInitScript(() => Object.defineProperty(crypto, 'subtle', { value: undefined }));
  let posts = 0;
  page.on('request', request => { posts += request.method() === 'POST' ? 1 : 0; });
  await page.goto('/support');
  await page.getByLabel('Key hint or digest').fill(key);
  await page.getByRole('button', { name: 'Find key' }).click();
  await expect(page.getByLabel('Key hint or digest')).toHaveAccessibleDescription(/sha256sum/);
  expect(posts).toBe(0);
});
