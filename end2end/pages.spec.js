// Every page and everything that opens on one, as people with other eyes, hands and screens have it.
import AxeBuilder from '@axe-core/playwright';
import { createKey, expect, fillNewKey, islands, ownServer, test } from './fixtures.js';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const DESK = { width: 1440, height: 900 };
const HAND = { width: 390, height: 844 };
const LOOKS = [['light', DESK], ['light', HAND], ['dark', HAND], ['dark', DESK]];
/** Narrower than most hands: here only that nothing sticks out. */
const NARROW = { width: 360, height: 740 };

/** What axe finds, each with where it is. */
async function findings(page, look) {
  // What a colour scheme changes is colours.
  const runOnly = look.colours ? { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } : { type: 'tag', values: RULES };
  // Where what is right is on the page, it need not say.
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().options({ runOnly, resultTypes: ['violations'] }).analyze();
  return violations.flatMap(found => found.nodes.map(node => `${found.id}: ${node.target} (${node.failureSummary})`));
}

/** Colours fade from one scheme to the other; half-way they are nobody's. */
const settled = page => page.evaluate(async () => {
  await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  await Promise.allSettled(document.getAnimations().map(animation => animation.finished));
});

async function check(page, name, person) {
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(page).toHaveTitle(/\S+ · Keydesk$/);
  await expect(page.locator('h1'), name).toHaveCount(1);
  const modal = await page.evaluate(() => document.querySelector(':modal') !== null);
  if (!modal) {
    const skip = page.getByRole('link', { name: 'Skip to content' });
    await skip.focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('main'), `${name}: the skip link leads to the content`).toBeFocused();
    const banner = page.getByRole('banner');
    await expect(banner).toHaveCount(1);
    if (person) {
      await expect(banner.getByRole('button', { name: 'Sign out' })).toBeVisible();
      if (person.org) await expect(banner).toContainText(person.org);
    }
  }
  await looks(page, name);
}

/** In every look. */
async function looks(page, name) {
  for (const [colorScheme, screen] of LOOKS) {
    await page.setViewportSize(screen);
    await page.emulateMedia({ colorScheme });
    await settled(page);
    const where = `${name}, ${screen.width}×${screen.height}, ${colorScheme}`;
    expect.soft(await findings(page, { colours: colorScheme === 'dark' }), where).toEqual([]);
    await fits(page, where);
  }
  await page.setViewportSize(NARROW);
  await fits(page, `${name}, ${NARROW.width} wide`);
}

/** Neither the page nor a dialog on it is wider than there is room. */
async function fits(page, where) {
  const wide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('dialog[open]')]
    .filter(one => one.scrollWidth > one.clientWidth).map(one => `${one.localName}: ${one.scrollWidth} > ${one.clientWidth}`));
  expect.soft(wide, `${where}: nothing sticks out at the side`).toEqual([]);
}

/** Without its script a page is what the server drew. */
const withoutScript = page => page.route('**/pkg/*.js', route => route.fulfill({
  contentType: 'text/javascript', body: 'export default async () => {}; export const hydrate = () => {};',
}));

/** The page of the first key that is not revoked. */
async function firstKeysPage(page) {
  const row = page.getByRole('row').filter({ has: page.getByRole('button', { name: /^Revoke (?!all)/ }) }).first();
  await row.getByRole('rowheader').getByRole('link').click();
  await expect(page).toHaveURL(/\/keys\/[0-9a-f-]{36}$/);
  await page.waitForLoadState();
}

const firstKey = page => page.getByRole('button', { name: /^Revoke (?!all)/ }).first();

// Name, who looks, address, and what they do there. `who` is a name of the people or nobody.
const STATES = [
  ['the sign-in page', null, '/sign-in'],
  ['the sign-in page after a wrong password', null, '/sign-in', async page => {
    await page.getByLabel('Email').fill('nobody@people.example');
    await page.getByLabel('Password').fill('not the right one at all');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('alert')).toContainText('wrong');
  }],
  ['the page of a dead set-up link', null, '/setup?token=used'],
  ['not found, to nobody', null, '/nothing/here'],
  ['not found', 'demo', '/nothing/here'],
  ['a key that is not there', 'demo', '/keys/00000000-0000-7000-8000-000000000000'],
  ['not allowed: a viewer and the audit log', 'viewer', '/audit'],
  ['not allowed: an owner and the support desk', 'owner', '/support'],
  ['not allowed: support and the keys', 'support', '/keys'],
  ['keys, none yet', 'empty', '/keys'],
  ['keys, none yet, to a viewer', 'emptyViewer', '/keys'],
  ['keys', 'demo', '/keys?page=3'],
  ['the create dialog', 'few', '/keys', async page => {
    await islands(page);
    await page.getByRole('button', { name: 'Create key' }).click();
    await expect(page.getByRole('dialog')).toBeVisible();
  }],
  ['the create dialog with an error', 'few', '/keys', async page => {
    await fillNewKey(page, '  ');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await expect(page.getByLabel('Name', { exact: true })).toHaveAttribute('aria-invalid', 'true');
  }],
  ['the create form as the server draws it', 'few', '/keys?new=1', null, withoutScript],
  ['the secret in the dialog', 'few', '/keys', page => createKey(page, 'Shown in the dialog')],
  ['the secret as the server draws it', 'few', '/keys?new=1', async page => {
    await page.getByLabel('Name', { exact: true }).fill('Shown by the server');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await expect(page.getByLabel('Your new key')).toBeVisible();
  }, withoutScript],
  ['the revoke dialog', 'few', '/keys', async page => {
    await islands(page);
    await firstKey(page).click();
    await expect(page.getByRole('dialog')).toBeVisible();
  }],
  ['a receipt', 'few', '/keys', async page => {
    await islands(page);
    await firstKey(page).click();
    await page.getByRole('button', { name: 'Revoke key' }).click();
    await expect(page.getByRole('dialog').getByRole('heading', { name: /^Revoked/ })).toBeVisible();
  }],
  ['the revoke-all dialog', 'few', '/keys', async page => {
    await islands(page);
    await page.getByRole('button', { name: 'Revoke all keys' }).click();
    await expect(page.getByRole('dialog')).toBeVisible();
  }],
  ['the revoke-all form as the server draws it', 'few', '/keys?revoke-all=1', null, withoutScript],
  ['a key', 'few', '/keys', async page => {
    await page.getByRole('rowheader').getByRole('link').first().click();
    await expect(page).toHaveURL(/\/keys\/[0-9a-f-]{36}$/);
  }],
  ['a key with usage, and a refused request', 'few', '/keys', async (page, hint, server) => {
    await firstKeysPage(page);
    const id = new URL(page.url()).pathname.split('/')[2];
    server.sql(`insert into key_usage select id, org_id, date_trunc('minute', now()) - n * interval '50 minutes',
        case when n % 5 = 0 then 'IP_NOT_ALLOWED' else 'VALID' end, '2001:db8:85a3:8d3:1319:8a2e:370:7348', 'python-httpx', '', n * 997
      from api_keys, generate_series(1, 20) n where id = '${id}' on conflict do nothing;
      insert into refusals select '0192f0c1-2345-7abc-8def-0123456789ab', now(), 'IP_NOT_ALLOWED', id, org_id, '10.0.4.7', 'curl',
        '{"request": {"method": "GET", "path": "/v1/a/path/that/is/rather/long"}, "namespace": "staging", "scopes": ["read"]}',
        '[{"gate": "shape", "passed": true}, {"gate": "address", "passed": false, "detail": "The key may not be used from this address."}]'
      from api_keys where id = '${id}'`);
    await page.goto(`/keys/${id}?request=0192f0c1-2345-7abc-8def-0123456789ab`);
    await page.getByText('The same as a table').click();
    await page.locator('details.refusal summary').first().click();
    await expect(page.getByRole('table', { name: 'Calls by time' })).toBeVisible();
  }],
  ['the edit dialog of a key', 'few', '/keys', async page => {
    await firstKeysPage(page);
    await islands(page);
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await expect(page.getByRole('dialog')).toBeVisible();
  }],
  ['the edit form as the server draws it, with errors', 'few', '/keys', async page => {
    await firstKeysPage(page);
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByLabel('Addresses').fill('nowhere');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await expect(page.getByLabel('Addresses')).toHaveAttribute('aria-invalid', 'true');
  }, withoutScript],
  ['the rotate dialog', 'few', '/keys', async page => {
    await firstKeysPage(page);
    await islands(page);
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await expect(page.getByRole('dialog')).toBeVisible();
  }],
  ['a successor in the dialog', 'few', '/keys', async page => {
    await firstKeysPage(page);
    await islands(page);
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    // The old key ends at once, so that the new one can be rotated in its turn.
    await page.getByLabel('Why').selectOption('Leaked or compromised');
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await expect(page.getByLabel('Your new key')).toBeVisible();
  }],
  ['a successor as the server draws it', 'few', '/keys', async page => {
    await firstKeysPage(page);
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await expect(page.getByLabel('Your new key')).toBeVisible();
  }, withoutScript],
  ['a key that was replaced, with callers on it', 'few', '/keys', async (page, hint, server) => {
    await firstKeysPage(page);
    const id = new URL(page.url()).pathname.split('/')[2];
    server.sql(`insert into key_usage select predecessor, org_id, date_trunc('minute', now()), 'VALID', address, 'curl', '', 7
      from api_keys, unnest('{10.0.4.7, 2001:db8:85a3:8d3:1319:8a2e:370:7348}'::inet[]) address where id = '${id}' on conflict do nothing`);
    await page.reload();
    await islands(page);
    await page.getByRole('button', { name: 'End the old key' }).click();
    await expect(page.getByLabel('Cut them off')).toBeVisible();
  }],
  ['webhooks, no secret', 'empty', '/webhooks?environment=test'],
  ['webhooks, to a viewer', 'viewer', '/webhooks'],
  ['a webhook secret', 'demo', '/webhooks?environment=test', async page => {
    await page.getByRole('button', { name: 'Generate secret' }).click();
    await expect(page.getByLabel('Your webhook secret')).toBeVisible();
  }],
  ['webhooks with a secret', 'demo', '/webhooks'],
  ['whether to regenerate a webhook secret', 'demo', '/webhooks?regenerate=1', async page => {
    await expect(page.getByRole('heading', { name: /Regenerate/ })).toBeVisible();
  }],
  ['a session that ended meanwhile', 'empty', '/webhooks?environment=test', async page => {
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Generate secret' }).click();
    await expect(page.getByRole('heading', { name: 'Your session has ended' })).toBeVisible();
  }, null, true],
  ['the audit log', 'few', '/audit'],
  ['whether to revoke some keys', 'demo', '/keys/revoke?all=1'],
  ['no key to revoke', 'demo', '/keys/revoke'],
  ['members', 'demo', '/members'],
  ['a member to manage', 'demo', '/members', async page => {
    await page.getByRole('link', { name: /^Manage / }).first().click();
    await expect(page.getByRole('heading', { name: /^Manage / })).toBeVisible();
  }],
  ['settings', 'demo', '/settings'],
  ['settings with an access token', 'demo', '/settings', async page => {
    await page.getByRole('button', { name: 'Create access token' }).click();
    await expect(page.getByLabel('Your access token')).toBeVisible();
  }],
  ['settings after a wrong password', 'empty', '/settings', async page => {
    await page.getByLabel('Current password').fill('wrong');
    await page.getByLabel('New password').fill('short');
    await page.getByRole('button', { name: 'Change password' }).click();
    await expect(page.getByLabel('New password')).toHaveAttribute('aria-invalid', 'true');
  }],
  ['the settings of support staff', 'support', '/settings'],
  ['the support desk', 'support', '/support'],
  ['not allowed: an owner and the nodes', 'owner', '/nodes'],
  ['the support desk, nothing found', 'support', '/support', page => find(page, 'kd_live_0000…0000')],
  ['the support desk, not a hint', 'support', '/support', async page => {
    await page.getByLabel('Key hint or digest').fill('what?');
    await page.getByRole('button', { name: 'Find key' }).click();
    await expect(page.getByLabel('Key hint or digest')).toHaveAttribute('aria-invalid', 'true');
  }],
  ['the support desk with a key', 'support', '/support', (page, hint) => find(page, hint)],
  ['the revoke dialog of the support desk', 'support', '/support', async (page, hint) => {
    await find(page, hint);
    await islands(page);
    await firstKey(page).click();
    await expect(page.getByRole('dialog').getByLabel('Ticket')).toBeVisible();
  }],
];

async function find(page, text) {
  await page.getByLabel('Key hint or digest').fill(text);
  await page.getByRole('button', { name: 'Find key' }).click();
  await page.waitForURL('**/console/fn/support/find');
}

test.describe('every page reads well, light and dark, on a desk and in a hand', () => {
  let more, hint;
  test.beforeAll(({ server }) => {
    more = {
      empty: server.person({ org: 'empty-org' }),
      few: server.person({ org: 'few-org' }),
      emptyViewer: server.person({ org: 'empty-org', role: 'viewer' }),
    };
    server.key('few-org', 'Nightly export', '--scope', 'read');
    server.key('few-org', 'A key whose name is about as long as a name that somebody still reads to its end');
    const key = server.key('acme-corp', 'Found by the support desk');
    hint = `${key.slice(0, 12)}…${key.slice(-4)}`;
  });

  for (const [name, who, path, act, before, outside] of STATES) {
    test(name, async ({ open, people, server }) => {
      const person = who && { ...people, ...more }[who];
      const page = await open({ as: person });
      await before?.(page);
      await page.goto(path);
      await act?.(page, hint, server);
      await check(page, name, outside ? null : person);
    });
  }
});

test.describe('on a server of its own', () => {
  const own = ownServer('pages');

  test('the set-up page reads well: as it opens, and with what was wrong in it', async ({ open }) => {
    const page = await open({ server: own.server });
    await page.goto(own.server.link);
    await check(page, 'the set-up page');
    await page.getByLabel('Email').fill('not an address');
    await page.getByRole('button', { name: 'Create organization' }).click();
    await expect(page.getByLabel('Email')).toHaveAttribute('aria-invalid', 'true');
    await check(page, 'the set-up page with errors');
  });

  // Not beside others: whoever revokes a key waits for these nodes.
  test('the nodes read well', async ({ open }) => {
    const { server } = own;
    const staff = server.person({ staff: 'support', name: 'Sue Support' });
    await server.whoami('kd_live_nobody');
    await server.finds('select from refusals');
    const page = await open({ as: staff, server });
    // With a lease of five minutes, a node that was last heard of five seconds ago stays late for as long as the test takes.
    server.sql(`insert into key_plane_nodes (id, name, limiter, applied_revision, started_at, renewed_at, lease_ms)
      values (gen_random_uuid(), 'a-machine-with-a-long-name.eu-central-1.example:3001', 'redis', 0, now(),
              now() - interval '5 s', 300000),
             (gen_random_uuid(), 'web-9:3001', 'memory', 0, now(), now() - interval '3 hours', 2000)`);
    await page.goto('/nodes');
    await expect(page.getByText('Late', { exact: true })).toBeVisible();
    await expect(page.getByText('Cut off', { exact: true })).toBeVisible();
    await expect(page.getByRole('table', { name: 'Last refusals' })).toBeVisible();
    await check(page, 'the nodes', staff);
  });
});

test('the page of the management API reads well, closed and open', async ({ open }) => {
  const page = await open();
  await page.goto('/api/v1/docs');
  const operations = page.locator('#operations summary');
  await expect(operations.first()).toBeVisible();
  await looks(page, 'the management API');
  for (const operation of await operations.all()) await operation.click();
  await looks(page, 'the management API, all of it');
});

test('a keyboard finds the skip link first', async ({ open, people }) => {
  const page = await open({ as: people.viewer });
  await page.goto('/members');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeInViewport();
});
