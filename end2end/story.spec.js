// The whole way of a first owner, from the link that the server prints to a key that no longer opens anything.
import { createKey, expect, islands, ownServer, row, test } from './fixtures.js';
import { password } from './server.js';

const own = ownServer('story');

test('from the set-up link to a revoked key, and everything of it is in the audit log', async ({ open }) => {
  const { server } = own;
  const page = await open({ server, permissions: ['clipboard-read', 'clipboard-write'] });

  await page.goto(server.link);
  await page.getByLabel('Organization').fill('Acme Corp');
  await page.getByLabel('Your name').fill('Ada Lovelace');
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password').fill(password());
  await page.getByRole('button', { name: 'Create organization' }).click();
  await expect(page).toHaveURL('/keys');
  await expect(page.getByRole('banner')).toContainText('Acme Corp');
  await expect(page.getByRole('heading', { name: 'API keys', level: 1 })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'No keys yet' })).toBeVisible();

  const key = await createKey(page, 'CI deploys');
  expect(key).toMatch(/^kd_live_[0-9A-Za-z]{36}$/);
  await expect(page.getByLabel('Your new key')).toHaveAttribute('readonly');
  await page.getByRole('button', { name: 'Copy key' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(key);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'CI deploys')).toContainText('Never');
  await expect(row(page, 'CI deploys')).toContainText('No expiry');

  const allowed = await server.whoami(key);
  expect(allowed.status).toBe(200);
  expect(allowed.body).toMatchObject({ org: 'acme-corp', name: 'CI deploys', environment: 'live' });
  await server.finds('select from key_last_used');
  await page.reload();
  await expect(row(page, 'CI deploys')).not.toContainText('Never');
  await expect(row(page, 'CI deploys')).toContainText('127.0.0.1');

  await page.getByRole('link', { name: 'CI deploys' }).click();
  await expect(page.getByRole('heading', { name: 'CI deploys', level: 1 })).toBeVisible();
  await islands(page);
  await page.getByRole('button', { name: 'Revoke CI deploys' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('CI deploys');
  await dialog.getByLabel('Reason').selectOption({ index: 1 });
  await dialog.getByRole('button', { name: 'Revoke key' }).click();
  await expect(dialog.getByRole('heading', { name: /Revoked/ })).toBeVisible();

  const refused = await server.whoami(key);
  expect(refused).toMatchObject({ status: 401, body: { code: 'REVOKED' } });
  await dialog.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('main')).toContainText('Revoked');

  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByRole('heading', { name: 'Audit log', level: 1 })).toBeVisible();
  const log = page.getByRole('table');
  await expect(log).toContainText('Created key “CI deploys”');
  await expect(log).toContainText('Revoked key “CI deploys”');
  await expect(log).toContainText('Ada Lovelace');
  await expect(log).not.toContainText(key);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('status')).toHaveText(/signed out/i);
  await page.goto('/keys');
  await expect(page).toHaveURL(/\/sign-in/);
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();

  const again = await page.goto(server.link);
  expect(again.status(), 'a used set-up link is dead').toBe(404);
  await expect(page.getByRole('heading', { name: 'This link does not work' })).toBeVisible();
  await expect(page.getByLabel('Organization')).toHaveCount(0);
  expect(server.run(['audit', 'verify'])).toMatch(/^The audit log is whole/);
});
