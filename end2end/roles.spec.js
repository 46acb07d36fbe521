// Who sees what, and that what is not offered is not possible either.
import { expect, islands, row, test } from './fixtures.js';
import { word } from './server.js';

const button = (page, name) => page.getByRole('button', { name });
const navigation = page => page.getByRole('navigation', { name: 'Main' }).getByRole('link');
const SECTIONS = ['API keys', 'Webhooks', 'Audit log', 'Members', 'Settings'];

/** Sends a form of the console as this page's person, past what the page offers. */
const send = (page, server, name, form) => page.request.post(`/console/fn/${name}`, {
  form, headers: { accept: 'text/html', origin: server.console },
});

const ISSUE = () => ({ idempotency_key: crypto.randomUUID(), name: 'Smuggled', environment: 'live', tier: 'standard', expires: 'never' });

let secret;
test.beforeAll(({ server }) => { secret = server.key('acme-corp', 'Shared by all roles'); });

for (const role of ['owner', 'admin']) {
  test(`an ${role} can do everything in the organization`, async ({ open, people }) => {
    const page = await open({ as: people[role] });
    await page.goto('/keys');
    await expect(navigation(page)).toHaveText(SECTIONS);
    await expect(button(page, 'Create key')).toBeVisible();
    await expect(button(page, 'Revoke Shared by all roles')).toBeVisible();
    await expect(button(page, 'Revoke all keys')).toBeVisible();
    await page.goto('/webhooks');
    await expect(button(page, 'Generate secret')).toBeVisible();
    await page.goto('/audit');
    await expect(page.getByRole('heading', { name: 'Audit log', level: 1 })).toBeVisible();
  });
}

test('a developer creates and revokes keys, but does not revoke all, nor make webhook secrets', async ({ open, people, server }) => {
  const page = await open({ as: people.developer });
  await page.goto('/keys');
  await expect(navigation(page)).toHaveText(SECTIONS);
  await expect(button(page, 'Create key')).toBeVisible();
  await expect(button(page, 'Revoke Shared by all roles')).toBeVisible();
  await expect(button(page, 'Revoke all keys')).toHaveCount(0);
  await page.goto('/keys?revoke-all=1');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.goto('/webhooks');
  await expect(button(page, 'Generate secret')).toHaveCount(0);
  await expect(page.getByRole('main')).toContainText('An owner or an admin can generate it.');
  expect((await send(page, server, 'keys/revoke-all', { confirmation: 'acme-corp' })).status()).toBe(403);
  expect((await send(page, server, 'webhooks/generate', { idempotency_key: crypto.randomUUID(), environment: 'live' })).status()).toBe(403);
  expect((await server.whoami(secret)).status).toBe(200);
});

test('a viewer only looks', async ({ open, people, server }) => {
  const page = await open({ as: people.viewer });
  await page.goto('/keys');
  await expect(navigation(page)).toHaveText(SECTIONS.filter(section => section !== 'Audit log'));
  await expect(row(page, 'Shared by all roles')).toBeVisible();
  await expect(button(page, /create/i)).toHaveCount(0);
  await expect(button(page, /revoke/i)).toHaveCount(0);
  const id = (await page.getByRole('link', { name: 'Shared by all roles' }).getAttribute('href')).split('/').pop();
  for (const asked of ['/keys?new=1', `/keys?revoke=${id}`, '/keys?revoke-all=1', `/keys/${id}?revoke=1`]) {
    await page.goto(asked);
    await expect(page.getByRole('dialog'), asked).toHaveCount(0);
  }
  const refused = await page.goto('/audit');
  expect(refused.status()).toBe(403);
  await expect(page.getByRole('heading', { name: 'Not allowed' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText('Your role, viewer, may not read the audit log.');
  expect((await page.goto('/audit/export')).status()).toBe(403);
  expect((await send(page, server, 'keys/issue', ISSUE())).status()).toBe(403);
  expect((await send(page, server, 'keys/revoke', { key_id: id, reason: 'other' })).status()).toBe(403);
  expect((await server.whoami(secret)).status).toBe(200);
  await page.goto('/keys');
  await expect(page.getByRole('main')).not.toContainText('Smuggled');
});

test('what was refused is in the audit log', async ({ open, people }) => {
  const viewer = await open({ as: people.viewer });
  await viewer.goto('/audit');
  const page = await open({ as: people.owner });
  await page.goto('/audit');
  const line = page.getByRole('row').filter({ hasText: 'viewer may not read the audit log' }).first();
  await expect(line).toContainText('Vic Viewer');
  await expect(line).toContainText('Refused');
});

test('support staff have the support desk, the nodes and their settings, and see no organization’s pages', async ({ open, people, server }) => {
  const page = await open({ as: people.support });
  await page.goto('/');
  await expect(page).toHaveURL('/support');
  await expect(navigation(page)).toHaveText(['Support desk', 'Nodes', 'Settings']);
  for (const path of ['/keys', '/webhooks', '/members', '/audit']) {
    const refused = await page.goto(path);
    expect(refused.status(), path).toBe(403);
    await expect(page.getByRole('heading', { name: 'Not allowed' })).toBeVisible();
    await expect(page.getByRole('main')).toContainText('Your role, support, may not');
  }
  expect((await send(page, server, 'keys/issue', ISSUE())).status()).toBe(403);
});

test('a member does not get to the support desk', async ({ open, people, server }) => {
  const page = await open({ as: people.owner });
  expect((await page.goto('/support')).status()).toBe(403);
  await expect(page.getByRole('heading', { name: 'Not allowed' })).toBeVisible();
  expect((await send(page, server, 'support/find', { query: secret })).status()).toBe(403);
});

test('the support desk in the browser: found, revoked with a ticket', async ({ open, people, server }) => {
  const key = server.key('acme-corp', 'Reported to support');
  const page = await open({ as: people.support });
  await page.goto('/support');
  await page.getByLabel('Key hint or digest').fill(`${key.slice(0, 12)}…${key.slice(-4)}`);
  await button(page, 'Find key').click();
  await page.waitForURL('**/support/find');
  await islands(page);
  await button(page, 'Revoke Reported to support').click();
  const dialog = page.getByRole('dialog');
  await button(dialog, 'Revoke key').click();
  await expect(dialog.getByLabel('Ticket')).toHaveAccessibleDescription(/Name the request/);
  await dialog.getByLabel('Ticket').fill('T-7');
  await button(dialog, 'Revoke key').click();
  await expect(dialog.getByRole('heading', { name: 'Revoked “Reported to support”.' })).toBeVisible();
  expect((await server.whoami(key)).body.code).toBe('REVOKED');
});

test('another organization’s key is as absent as one that never was', async ({ open, people, server }) => {
  const owner = await open({ as: people.owner });
  await owner.goto('/keys');
  const theirs = await owner.getByRole('link', { name: 'Shared by all roles' }).getAttribute('href');
  const page = await open({ as: people.stranger });
  await page.goto('/keys');
  await expect(page.getByRole('main')).not.toContainText('Shared by all roles');
  const answers = [];
  for (const path of [theirs, `/keys/${crypto.randomUUID()}`, '/keys/not-an-id']) {
    const response = await page.request.get(path);
    const { date, 'x-request-id': id, 'content-security-policy': policy, 'content-length': length, ...headers } = response.headers();
    const nonce = /'nonce-([^']+)'/.exec(policy)[1];
    answers.push({ status: response.status(), headers, body: (await response.text()).replaceAll(nonce, '').replace(/ data-props="\{&quot;now&quot;:[^}]+\}"/, '') });
  }
  expect(answers[0].status).toBe(404);
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]).toEqual(answers[2]);
  const key_id = theirs.split('/').pop();
  const revoked = await Promise.all([key_id, crypto.randomUUID()].map(id =>
    send(page, server, 'keys/revoke', { key_id: id, reason: 'other' })));
  expect(revoked.map(response => response.status())).toEqual([404, 404]);
  expect((await server.whoami(secret)).status).toBe(200);
});

test('an organization sees its own people and no others', async ({ open, people, server }) => {
  const guest = server.person({ org: `apart-${word()}`, name: 'Gil Guest' });
  const page = await open({ as: guest });
  await page.goto('/members');
  await expect(page.getByRole('table')).toContainText('Gil Guest');
  await expect(page.getByRole('table')).not.toContainText(people.owner.name);
});
