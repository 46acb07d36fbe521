// A key's own page, with JavaScript and without: changing it, replacing it, how it was used and why it was refused.
import { done, expect, islands, test } from './fixtures.js';
import { word } from './server.js';

const MODES = [['with JavaScript', {}], ['without JavaScript', { javaScriptEnabled: false }]];
const dialog = page => page.getByRole('dialog');
const said = (page, text) => page.getByRole('status').filter({ hasText: text });

/** A key of an organization of its own, its id, and a developer of that organization. */
function fresh(server) {
  const person = server.person({ org: `one-${word()}`, role: 'developer', name: 'Dee Developer' });
  const secret = server.key(person.org, 'Checkout service', '--scope', 'read');
  return { person, secret, id: idOf(server, person.org, 'order by k.id') };
}

const idOf = (server, org, order) =>
  server.sql(`select k.id from api_keys k join orgs o on o.id = k.org_id where o.slug = '${org}' ${order} limit 1`).trim();

for (const [mode, options] of MODES) {
  const scripted = options.javaScriptEnabled !== false;

  /** Opens a key's page, and one of its dialogs. */
  async function visit(open, key, button) {
    const page = await open({ as: key.person, ...options });
    await page.goto(`/keys/${key.id}`);
    if (scripted) await islands(page);
    if (button) {
      await page.getByRole('button', { name: button, exact: true }).click();
      await expect(dialog(page)).toBeVisible();
    }
    return page;
  }

  /** Where there is a dialog with the answer, it is closed; then the page is the key's. */
  async function closed(page, key) {
    if (scripted) await done(page);
    await expect(dialog(page)).toHaveCount(0);
    if (!scripted) await page.goto(`/keys/${key.id}`);
  }

  test.describe(mode, () => {
    test('an edit that takes something away shows its receipt, and holds', async ({ open, server }) => {
      const key = fresh(server);
      const page = await visit(open, key, 'Edit');
      await page.getByLabel('Name', { exact: true }).fill('Checkout, region 2');
      await page.getByLabel('Addresses').fill('10.0.0.0/8\n203.0.113.7');
      await page.getByLabel('Expires').selectOption('30d');
      await page.getByRole('button', { name: 'Save changes' }).click();
      await expect(said(page, 'Changed “Checkout, region 2”.')).toContainText(/Effective on 1 of 1 node after \d+ ms/);
      expect((await server.whoami(key.secret)).body.code).toBe('IP_NOT_ALLOWED');
      await closed(page, key);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText('Checkout, region 2');
      await expect(page.getByRole('main')).toContainText('10.0.0.0/8, 203.0.113.7/32');
      await expect(page.getByRole('main')).toContainText('name, addresses, expiry');
    });

    test('a mistake is said beside its field, and nothing typed is lost', async ({ open, server }) => {
      const page = await visit(open, fresh(server), 'Edit');
      await page.getByLabel('Addresses').fill('10.0.0.0/8\n10.0.0');
      await page.getByLabel('Namespaces').fill('default');
      await page.getByLabel('admin').check();
      await page.getByRole('button', { name: 'Save changes' }).click();
      await expect(page.getByLabel('Addresses')).toHaveAccessibleDescription(/"10\.0\.0" is no address or block/);
      await expect(page.getByLabel('Addresses')).toHaveAttribute('aria-invalid', 'true');
      await expect(page.getByLabel('Addresses')).toHaveValue('10.0.0.0/8\n10.0.0');
      await expect(page.getByLabel('Namespaces')).toHaveValue('default');
      await expect(page.getByLabel('admin')).toBeChecked();
    });

    test('two people at once: the second is told, and decides', async ({ open, server }) => {
      const key = fresh(server);
      const second = await visit(open, key, 'Edit');
      await second.getByLabel('Name', { exact: true }).fill('Mine');
      await expect(second.getByLabel('Save mine over theirs')).toBeHidden();
      const first = await visit(open, key, 'Edit');
      await first.getByLabel('Namespaces').fill('theirs');
      await first.getByRole('button', { name: 'Save changes' }).click();
      await expect(said(first, 'Changed “Checkout service”.')).toBeVisible();
      await second.getByRole('button', { name: 'Save changes' }).click();
      const box = second.getByLabel('Save mine over theirs');
      await expect(box).toHaveAccessibleDescription(/Dee Developer has changed this key since you opened it.*namespaces/);
      await expect(second.getByLabel('Name', { exact: true })).toHaveValue('Mine');
      await box.check();
      await second.getByRole('button', { name: 'Save changes' }).click();
      await expect(said(second, 'Changed “Mine”.')).toBeVisible();
    });

    test('disabled and enabled', async ({ open, server }) => {
      const key = fresh(server);
      const page = await visit(open, key);
      await page.getByRole('button', { name: 'Disable' }).click();
      await expect(said(page, 'Disabled “Checkout service”')).toContainText('Effective on');
      expect((await server.whoami(key.secret)).body.code).toBe('DISABLED');
      await page.getByRole('button', { name: 'Enable' }).click();
      await expect(said(page, 'Enabled “Checkout service”.')).toBeVisible();
      await expect.poll(async () => (await server.whoami(key.secret)).status).toBe(200);
    });

    test('rotated: the successor is shown once, and both work until the old one ends', async ({ open, server }) => {
      const key = fresh(server);
      const page = await visit(open, key, 'Rotate');
      await expect(page.getByLabel('The old key goes on for')).toHaveValue('24h');
      await page.getByRole('button', { name: 'Rotate key' }).click();
      const secret = await page.getByLabel('Your new key').inputValue();
      await expect(page.getByRole('main')).toContainText('The old key goes on until');
      await expect(page.getByLabel('curl example')).toBeVisible();
      for (const one of [key.secret, secret]) expect((await server.whoami(one)).status).toBe(200);
      await page.getByRole('button', { name: 'Done' }).click();
      await expect(page.getByRole('heading', { name: 'Rotation' })).toBeVisible();
      await expect(page).toHaveURL(new RegExp(`/keys/${key.id}\\??$`));
      expect(await page.content()).not.toContain(secret);
      await page.getByRole('button', { name: 'Give it more time' }).click();
      await expect(said(page, 'The old key goes on until')).toBeVisible();
      await expect(page.getByRole('button', { name: 'Give it more time' })).toHaveCount(0);
    });

    test('after a leak the old key is dead before the new one is shown', async ({ open, server }) => {
      const key = fresh(server);
      const page = await visit(open, key, 'Rotate');
      await page.getByLabel('The old key goes on for').selectOption('7d');
      await page.getByLabel('Why').selectOption('Leaked or compromised');
      await page.getByRole('button', { name: 'Rotate key' }).click();
      await expect(page.getByLabel('Your new key')).toBeVisible();
      await expect(page.getByRole('main')).toContainText(/The old key has ended\. Effective on 1 of 1 node/);
      expect((await server.whoami(key.secret)).body.code).toBe('ROTATED');
    });

    test('a caller that is still on the old key is shown, and is not cut off by accident', async ({ open, server }) => {
      const key = fresh(server);
      const cookie = await server.session(key.person);
      const form = { idempotency_key: crypto.randomUUID(), key_id: key.id, window: '24h', reason: 'superseded' };
      expect((await server.send('keys/rotate', form, { cookie })).status).toBe(200);
      expect((await server.whoami(key.secret)).status).toBe(200);
      await server.finds(`select from key_usage where key_id = '${key.id}'`);
      const page = await visit(open, key);
      const rotation = page.getByRole('region', { name: 'Rotation' });
      // Callers are seen by the minute, which may be over by now.
      const still = /1 caller is still on the old key: 127\.0\.0\.1 node, (just now|\d+ minutes? ago)\./;
      await expect(rotation).toContainText(still);
      await page.getByRole('button', { name: 'End the old key' }).click();
      await page.getByRole('button', { name: 'End key' }).click();
      await expect(page.getByLabel('Cut them off')).toHaveAccessibleDescription(/1 caller is still on the old key/);
      expect((await server.whoami(key.secret)).status).toBe(200);
      await page.getByLabel('Cut them off').check();
      await page.getByRole('button', { name: 'End key' }).click();
      await expect(said(page, 'The old key has ended.')).toContainText('Effective on 1 of 1 node');
      expect((await server.whoami(key.secret)).body.code).toBe('ROTATED');
    });

    test('how it was used: a chart with a name, the same as a table, and further back', async ({ open, server }) => {
      const key = fresh(server);
      server.sql(`insert into key_usage select '${key.id}', org_id, date_trunc('minute', now() - interval '3 days'), 'VALID',
        '10.0.4.9', 'okhttp', '', 1234 from api_keys where id = '${key.id}'`);
      const page = await visit(open, key);
      await expect(page.getByRole('main')).toContainText('Nobody has called with this key in the last 24 hours.');
      await page.getByRole('link', { name: '7 days' }).click();
      const chart = page.getByRole('img', { name: /^Calls with this key in the last 7 days: 1,234 let in, 0 refused/ });
      await expect(chart).toBeVisible();
      await expect(page.getByRole('row', { name: /10\.0\.4\.9 okhttp/ })).toContainText('1,234');
      await expect(page.getByRole('row', { name: /VALID/ })).toContainText('1,234');
      const numbers = page.getByRole('table', { name: 'Calls by time' });
      await expect(numbers).toBeHidden();
      await page.getByText('The same as a table').click();
      await expect(numbers.getByRole('row').filter({ hasText: '1,234' })).toHaveCount(1);
    });

    test('a request that is not known yet is found when it is looked up once more', async ({ open, server }) => {
      const key = fresh(server);
      const id = crypto.randomUUID();
      const page = await visit(open, key);
      await page.getByLabel('Request id').fill(id);
      await page.getByRole('button', { name: 'Look up' }).click();
      await expect(page.getByLabel('Request id')).toHaveAccessibleDescription(/no such refused request/);
      server.sql(`insert into refusals (request_id, at, code, key_id, org_id, address, agent, asked, gates)
        select '${id}', now(), 'DISABLED', id, org_id, '10.0.4.9', 'okhttp', '{}', '[]' from api_keys where id = '${key.id}'`);
      await page.getByRole('button', { name: 'Look up' }).click();
      await expect(page.getByText('Enable the key, if it is meant to work.').first()).toBeVisible();
      await expect(page.getByLabel('Request id')).toBeInViewport();
    });

    test('a refused request is looked up by its id, and says what to do', async ({ open, server }) => {
      const key = fresh(server);
      server.sql(`update api_keys set ip_allowlist = '{10.0.0.0/8}' where id = '${key.id}'`);
      await expect.poll(async () => (await server.whoami(key.secret)).status).toBe(403);
      const { body } = await server.whoami(key.secret);
      await server.finds(`select from refusals where request_id = '${body.request_id}'`);
      const page = await visit(open, key);
      await page.getByLabel('Request id').fill(` ${body.request_id} `);
      await page.getByRole('button', { name: 'Look up' }).click();
      await expect(page.getByText(/edit the key and add 127\.0\.0\.1/).first()).toBeVisible();
      await expect(page.getByRole('list').filter({ hasText: 'It may be used from the address' }).first()).toContainText('No');
      await page.getByLabel('Request id').fill('what?');
      await page.getByRole('button', { name: 'Look up' }).click();
      await expect(page.getByLabel('Request id')).toHaveAccessibleDescription(/no such refused request/);
    });
  });
}

test('one’s own address is added with a click, once; without JavaScript it is only said', async ({ open, server }) => {
  const key = fresh(server);
  const page = await open({ as: key.person });
  await page.goto(`/keys/${key.id}`);
  await islands(page);
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  await page.getByLabel('Addresses').fill('10.0.0.0/8\n');
  for (let click = 0; click < 2; click += 1) await page.getByRole('button', { name: 'Add it' }).click();
  await expect(page.getByLabel('Addresses')).toHaveValue('10.0.0.0/8\n127.0.0.1');
  const plain = await open({ as: key.person, javaScriptEnabled: false });
  await plain.goto(`/keys/${key.id}?edit=1`);
  await expect(plain.getByText('Your own address is 127.0.0.1')).toBeVisible();
  await expect(plain.getByRole('button', { name: 'Add it' })).toBeHidden();
});
