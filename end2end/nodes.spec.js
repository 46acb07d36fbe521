// Where a revoke holds: said in every dialog and page that revokes, and on the staff's page of nodes.
import { expect, islands, ownServer, row, test } from './fixtures.js';
import { word } from './server.js';

const own = ownServer('nodes');
const dialog = page => page.getByRole('dialog');
const RECEIPT = /^Effective on 1 of 1 node after \d+ ms\.$/;
const HELD_UP = /^Effective on 1 of 2 nodes after (\d+) ms\. Cut off: web-9:3001, which answers for no key/;

let person, staff, secret;
test.beforeAll(() => {
  person = own.server.person({ org: `nodes-${word()}` });
  staff = own.server.person({ staff: 'support', name: 'Sue Support' });
});

/** Holds an answer back until somebody has looked at the page that waits for it. */
async function held(page, form) {
  let release;
  const looked = new Promise(go => { release = go; });
  await page.route(`**/console/fn/${form}`, async route => {
    const response = await route.fetch();
    await looked;
    await route.fulfill({ response });
  });
  return release;
}

/** A node that has stopped: its row is there, and does not move. */
const cutOff = () => own.server.sql(`
  insert into key_plane_nodes (id, name, limiter, applied_revision, started_at, renewed_at)
  values (gen_random_uuid(), 'web-9:3001', 'memory', 0, now() - interval '1 hour', now() - interval '3 minutes')`);

async function open(context, as, path) {
  const page = await context({ as, server: own.server });
  await page.goto(path);
  await islands(page);
  return page;
}

/** Every place that revokes: opens its dialog, and answers the button that does it. */
const PLACES = {
  'the list': async context => {
    const page = await open(context, person, '/keys');
    await page.getByRole('button', { name: 'Revoke Doomed' }).click();
    return page;
  },
  'the key’s own page': async context => {
    const page = await open(context, person, '/keys');
    await page.getByRole('link', { name: 'Doomed' }).click();
    await page.waitForURL('**/keys/*');
    await islands(page);
    await page.getByRole('button', { name: 'Revoke Doomed' }).click();
    return page;
  },
  'the support desk': async context => {
    const page = await open(context, staff, '/support');
    await page.getByLabel('Key hint or digest').fill(`${secret.slice(0, 12)}…${secret.slice(-4)}`);
    await page.getByRole('button', { name: 'Find key' }).click();
    await page.waitForURL('**/support/find');
    await islands(page);
    await page.getByRole('button', { name: 'Revoke Doomed' }).click();
    await dialog(page).getByLabel('Ticket').fill('T-9');
    return page;
  },
  'revoke all': async context => {
    const page = await open(context, person, '/keys');
    await page.getByRole('button', { name: 'Revoke all keys' }).click();
    await dialog(page).getByRole('textbox').fill(person.org);
    return page;
  },
};

for (const [where, ask] of Object.entries(PLACES)) {
  test.describe(`from ${where}`, () => {
    test.beforeEach(() => { secret = own.server.key(person.org, 'Doomed'); });
    // So that there is one key of this name at a time.
    test.afterEach(() => { own.server.sql("update api_keys set name = 'Past' where name = 'Doomed'"); });

    test('the receipt says that every node follows, and how soon', async ({ open: context }) => {
      const page = await ask(context);
      await dialog(page).locator('button.danger').click();
      await expect(dialog(page).getByRole('status').locator('p')).toHaveText(RECEIPT);
      expect((await own.server.whoami(secret)).body.code).toBe('REVOKED');
    });

    test('a node that is cut off is waited for while the button says “Revoking…”, and is named', async ({ open: context }) => {
      const page = await ask(context);
      cutOff();
      const release = await held(page, '*/revoke*');
      await dialog(page).locator('button.danger').click();
      await expect(dialog(page).getByRole('button', { name: 'Revoking…' })).toBeDisabled();
      await page.keyboard.press('Escape');
      await expect(dialog(page), 'Esc does not lose the answer').toBeVisible();
      release();
      const said = dialog(page).getByRole('status').locator('p');
      await expect(said).toHaveText(HELD_UP);
      expect(Number(HELD_UP.exec(await said.textContent())[1]), 'longer than any lease').toBeGreaterThanOrEqual(2200);
      expect((await own.server.whoami(secret)).body.code).toBe('REVOKED');
      expect(own.server.sql("select count(*) from key_plane_nodes where name = 'web-9:3001'").trim(), 'nobody waits for it again').toBe('0');
    });
  });
}

test.describe('without JavaScript', () => {
  for (const [name, path, button] of [['one', '/keys?revoke=', 'Revoke key'], ['all', '/keys?revoke-all=1', /^Revoke \d+ keys?$/]]) {
    test(`revoking ${name}: the page that answers holds the receipt`, async ({ open: context }) => {
      const key = own.server.key(person.org, `Plain ${name}`);
      const page = await context({ as: person, server: own.server, javaScriptEnabled: false });
      const id = own.server.sql(`select id from api_keys where name = 'Plain ${name}'`).trim();
      await page.goto(name === 'one' ? path + id : path);
      if (name === 'all') await dialog(page).getByRole('textbox').fill(person.org);
      await dialog(page).getByRole('button', { name: button }).click();
      await expect(page.getByRole('status').getByText(RECEIPT)).toBeVisible();
      expect((await own.server.whoami(key)).body.code).toBe('REVOKED');
    });
  }

  test('the nodes: what runs and how far it is, what is cut off, and what was refused last', async ({ open: context }) => {
    const key = own.server.key(person.org, 'Refused');
    await own.server.run(['key', 'revoke', '--hint', `${key.slice(0, 12)}…${key.slice(-4)}`, '--reason', 'other']);
    const refused = await own.server.whoami(key);
    const page = await context({ as: staff, server: own.server, javaScriptEnabled: false });
    await page.goto('/support');
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Nodes' }).click();
    await expect(page.getByRole('heading', { name: 'Nodes', level: 1 })).toBeVisible();
    const nodes = page.getByRole('table', { name: 'Nodes' }).getByRole('row');
    await expect(nodes).toHaveCount(2);
    await expect(nodes.nth(1)).toContainText(/(Following|Late)\s*renewed \d\.\d s ago/);
    await expect(nodes.nth(1)).toContainText('the newest');
    cutOff();
    await page.getByRole('link', { name: 'Look again' }).click();
    await expect(page.getByRole('row').filter({ hasText: 'web-9:3001' })).toContainText(/Cut off\s*renewed \d+ min ago/);
    own.server.sql("delete from key_plane_nodes where name = 'web-9:3001'");
    const line = page.getByRole('table', { name: 'Last refusals' }).getByRole('row').filter({ hasText: refused.body.request_id });
    await own.server.finds(`select from refusals where request_id = '${refused.body.request_id}'`);
    await page.reload();
    await expect(line).toContainText('REVOKED');
    await expect(line).toContainText(person.org);
    await expect(line).toContainText('127.0.0.1');
    expect(await page.content()).not.toContain(key);
  });
});

test('a member does not get to the nodes', async ({ open: context }) => {
  const page = await context({ as: person, server: own.server });
  expect((await page.goto('/nodes')).status()).toBe(403);
  await expect(page.getByRole('heading', { name: 'Not allowed' })).toBeVisible();
  await page.goto('/keys');
  await expect(page.getByRole('navigation', { name: 'Main' })).not.toContainText('Nodes');
  await expect(row(page, 'Doomed')).toHaveCount(0);
});
