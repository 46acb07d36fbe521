// A slow network, answers that get lost, and a server that dies: nothing typed is lost, nothing is done twice, and what to
// do is said. Creating a key has its own tests, in keys.spec.js.
import { done, expect, islands, ownServer, row, test } from './fixtures.js';
import { word } from './server.js';

const dialog = page => page.getByRole('dialog');
const NOT_SURE = /could not reach .* or the answer got lost\. Try again: .* not done twice\./;

/** Somebody with a key of their own, and what it takes to look at it. */
function fresh(server) {
  const person = server.person({ org: `faults-${word()}` });
  const secret = server.key(person.org, 'Old name', '--scope', 'read');
  const id = server.sql(`select k.id from api_keys k join orgs o on o.id = k.org_id where o.slug = '${person.org}'`).trim();
  return { person, secret, id, hint: `${secret.slice(0, 12)}…${secret.slice(-4)}` };
}

/** How often something was done in an organization; that there was nothing left to do is noted too, and is not counted. */
const times = (server, { person }, action) => Number(server.sql(`select count(*) from audit_events e join orgs o on o.id = e.chain
  where o.slug = '${person.org}' and e.action = '${action}' and e.summary not like '% (0)'`));

/** How many keys an organization has. */
const keysOf = (server, { person }) => Number(server.sql(`select count(*) from api_keys k join orgs o on o.id = k.org_id where o.slug = '${person.org}'`));

// `open`: from the page to a dialog that is filled in; `kept`: that it still is. `again`: what is said if it was done, and
// nobody knew, and is sent once more. `once`: that it was done once.
const FLOWS = {
  'editing a key': {
    at: key => `/keys/${key.id}`,
    fn: 'keys/edit',
    open: async page => {
      await page.getByRole('button', { name: 'Edit', exact: true }).click();
      await page.getByLabel('Name', { exact: true }).fill('New name');
      await page.getByLabel('Addresses').fill('10.0.0.0/8\n::1');
      await page.getByLabel('Namespaces').fill('default');
      await page.getByLabel('write').check();
    },
    kept: async page => {
      await expect(page.getByLabel('Name', { exact: true })).toHaveValue('New name');
      await expect(page.getByLabel('Addresses')).toHaveValue('10.0.0.0/8\n::1');
      await expect(page.getByLabel('Namespaces')).toHaveValue('default');
      await expect(page.getByLabel('write')).toBeChecked();
    },
    send: ['Save changes', 'Saving…'],
    done: 'Changed “New name”.',
    again: '“New name” is like this already: there was nothing to change.',
    once: async (server, key) => {
      expect(times(server, key, 'key.edit')).toBe(1);
      expect((await server.whoami(key.secret)).body.code).toBe('IP_NOT_ALLOWED');
    },
  },
  'rotating a key': {
    at: key => `/keys/${key.id}`,
    fn: 'keys/rotate',
    open: async page => {
      await page.getByRole('button', { name: 'Rotate', exact: true }).click();
      await page.getByLabel('The old key goes on for').selectOption('7d');
      await page.getByLabel('Why').selectOption('Leaked or compromised');
    },
    kept: async page => {
      await expect(page.getByLabel('The old key goes on for')).toHaveValue('7d');
      await expect(page.getByLabel('Why')).toHaveValue('key_compromise');
    },
    send: ['Rotate key', 'Rotating…'],
    done: '“Old name” is ready',
    again: /already created the key “Old name” .* if it is lost, revoke the key and create another\./,
    once: async (server, key) => {
      expect(times(server, key, 'key.rotate')).toBe(1);
      expect(keysOf(server, key)).toBe(2);
      expect((await server.whoami(key.secret)).body.code).toBe('ROTATED');
    },
  },
  'ending an old key': {
    at: key => `/keys/${key.id}`,
    fn: 'keys/finish',
    before: async (server, key) => {
      const form = { idempotency_key: crypto.randomUUID(), key_id: key.id, window: '24h', reason: 'superseded' };
      expect((await server.send('keys/rotate', form, { cookie: await server.session(key.person) })).status).toBe(200);
    },
    open: page => page.getByRole('button', { name: 'End the old key' }).click(),
    kept: page => expect(dialog(page)).toContainText('End the old key now?'),
    send: ['End key', 'Ending…'],
    done: 'The old key has ended.',
    again: 'The old key had ended already.',
    once: async (server, key) => {
      expect(times(server, key, 'key.rotate_finish')).toBe(1);
      expect((await server.whoami(key.secret)).body.code).toBe('ROTATED');
    },
  },
  'revoking a key': {
    at: () => '/keys',
    fn: 'keys/revoke',
    open: async page => {
      await page.getByRole('button', { name: 'Revoke Old name' }).click();
      await page.getByLabel('Reason').selectOption('superseded');
    },
    kept: page => expect(page.getByLabel('Reason')).toHaveValue('superseded'),
    send: ['Revoke key', 'Revoking…'],
    done: 'Revoked “Old name”.',
    again: '“Old name” was revoked already.',
    once: async (server, key) => {
      expect(times(server, key, 'key.revoke')).toBe(1);
      expect((await server.whoami(key.secret)).body.code).toBe('REVOKED');
    },
  },
  'revoking all keys': {
    at: () => '/keys',
    fn: 'keys/revoke-all',
    open: async (page, key) => {
      await page.getByRole('button', { name: 'Revoke all keys' }).click();
      await dialog(page).getByRole('textbox').fill(key.person.org);
    },
    kept: (page, key) => expect(dialog(page).getByRole('textbox')).toHaveValue(key.person.org),
    send: ['Revoke 1 key', 'Revoking…'],
    done: 'Revoked 1 key.',
    again: 'There was no key left to revoke.',
    once: async (server, key) => {
      expect(times(server, key, 'key.revoke_all')).toBe(1);
      expect((await server.whoami(key.secret)).body.code).toBe('REVOKED');
    },
  },
  'revoking at the support desk': {
    at: () => '/support',
    as: people => people.support,
    fn: 'support/revoke',
    open: async (page, key) => {
      await page.getByLabel('Key hint or digest').fill(key.hint);
      await page.getByRole('button', { name: 'Find key' }).click();
      await page.waitForURL('**/support/find');
      await islands(page);
      await page.getByRole('button', { name: 'Revoke Old name' }).click();
      await page.getByLabel('Reason').selectOption('key_compromise');
      await page.getByLabel('Ticket').fill('T-77');
    },
    kept: async page => {
      await expect(page.getByLabel('Reason')).toHaveValue('key_compromise');
      await expect(page.getByLabel('Ticket')).toHaveValue('T-77');
    },
    send: ['Revoke key', 'Revoking…'],
    done: 'Revoked “Old name”.',
    again: '“Old name” was revoked already.',
    once: async (server, key) => {
      expect(times(server, key, 'key.revoke')).toBe(1);
      expect((await server.whoami(key.secret)).body.code).toBe('REVOKED');
    },
  },
};

/** Goes to where a flow begins, and fills its dialog in. */
async function begin(open, people, server, flow) {
  const key = fresh(server);
  await flow.before?.(server, key);
  const page = await open({ as: flow.as?.(people) ?? key.person, server });
  await page.goto(flow.at(key));
  await islands(page);
  await flow.open(page, key);
  const [send, sending] = flow.send.map(name => page.getByRole('button', { name, exact: true }));
  return { key, page, send, sending };
}

for (const [name, flow] of Object.entries(FLOWS)) {
  test(`${name}: not reached, then the answer lost: said, kept as typed, and done once`, async ({ open, people, server }) => {
    const { key, page, send } = await begin(open, people, server, flow);
    const url = `**/console/fn/${flow.fn}`;
    await page.route(url, route => route.abort());
    await send.click();
    await expect(dialog(page).getByRole('alert')).toContainText(NOT_SURE);
    await flow.kept(page, key);
    await expect(send).toBeFocused();
    await page.unroute(url);
    await page.route(url, async route => {
      await route.fetch();
      await route.abort();
    });
    await send.click();
    // Said anew, whatever was said before.
    await expect(send).toBeEnabled();
    await expect(dialog(page).getByRole('alert')).toContainText(NOT_SURE);
    await flow.kept(page, key);
    await flow.once(server, key);
    await page.unroute(url);
    await send.click();
    await expect(dialog(page)).toContainText(flow.again);
    await flow.once(server, key);
  });

  test(`${name}: slow, and clicked twice: sent once, and its answer is seen`, async ({ open, people, server }) => {
    const { key, page, send, sending } = await begin(open, people, server, flow);
    let release, sent = 0;
    const released = new Promise(go => { release = go; });
    await page.route(`**/console/fn/${flow.fn}`, async route => {
      sent += 1;
      await released;
      await route.continue();
    });
    await send.dblclick();
    await expect(sending).toBeDisabled();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    release();
    await expect(dialog(page)).toContainText(flow.done);
    expect(sent).toBe(1);
    await flow.once(server, key);
    await done(page);
    await expect(dialog(page)).toHaveCount(0);
  });
}

test('an answer that got lost: the page behind the dialog is drawn again, as it is now, and as far back as it looked', async ({ open, people, server }) => {
  const { key, page, send } = await begin(open, people, server, {
    ...FLOWS['rotating a key'], at: key => `/keys/${key.id}?usage=7d`,
  });
  await page.route('**/console/fn/keys/rotate', async route => {
    await route.fetch();
    await route.abort();
  });
  await send.click();
  await expect(dialog(page).getByRole('alert')).toContainText(NOT_SURE);
  await dialog(page).getByRole('link', { name: 'Cancel' }).click();
  await expect(page.getByRole('heading', { name: 'Rotation' })).toBeVisible();
  await expect(page).toHaveURL(`/keys/${key.id}?usage=7d`);
  await expect(page.getByRole('link', { name: '7 days' })).toHaveAttribute('aria-current', 'true');
});

test.describe('a server that dies with a request in its hands', () => {
  const own = ownServer('faults');

  test('dialogs say so, keep what was typed, and go on once it is back', async ({ open }) => {
    const { server } = own;
    const names = ['editing a key', 'revoking all keys'];
    const begun = [];
    for (const name of names) begun.push(await begin(open, {}, server, FLOWS[name]));
    const stranger = await open({ server });
    await stranger.goto('/sign-in');
    await stranger.getByLabel('Email').fill(begun[0].key.person.email);
    await stranger.getByLabel('Password').fill(begun[0].key.person.password);
    // It takes the requests, and answers none of them.
    server.child.kill('SIGSTOP');
    for (const { send, sending } of begun) {
      await send.click();
      await expect(sending).toBeDisabled();
    }
    await stranger.getByRole('button', { name: 'Sign in' }).click({ noWaitAfter: true });
    await server.kill();
    for (const [index, { key, page, send }] of begun.entries()) {
      await expect(dialog(page).getByRole('alert')).toContainText(NOT_SURE);
      await FLOWS[names[index]].kept(page, key);
      await expect(send).toBeEnabled();
    }
    const console = server.console;
    await server.start();
    expect(server.console, 'where it was').toBe(console);
    for (const [index, { key, page, send }] of begun.entries()) {
      const flow = FLOWS[names[index]];
      await send.click();
      await expect(dialog(page)).toContainText(flow.done);
      await flow.once(server, key);
    }
    await stranger.goto('/sign-in');
    await stranger.getByLabel('Email').fill(begun[0].key.person.email);
    await stranger.getByLabel('Password').fill(begun[0].key.person.password);
    await stranger.getByRole('button', { name: 'Sign in' }).click();
    await expect(stranger).toHaveURL('/keys');
  });
});

/** To the page that asks whether to revoke two keys. */
async function chosen(open, server) {
  const key = fresh(server);
  key.other = server.key(key.person.org, 'Other');
  const page = await open({ as: key.person });
  await page.goto('/keys/revoke?all=1');
  await page.getByLabel('Reason').selectOption('superseded');
  return { key, page, send: page.getByRole('button', { name: 'Revoke 2 keys' }) };
}

test('revoking some keys: not reached, and then the answer lost: the way back leads to what there is', async ({ open, server }) => {
  const { key, page, send } = await chosen(open, server);
  const url = '**/console/fn/keys/revoke-some';
  await page.route(url, route => route.abort('failed'));
  await send.click();
  await page.waitForURL(/^chrome-error:/);
  await page.unroute(url);
  await page.goBack();
  await expect(send).toBeVisible();
  expect((await server.whoami(key.secret)).status).toBe(200);
  await page.getByLabel('Reason').selectOption('superseded');
  await page.route(url, async route => {
    await route.fetch();
    await route.abort('failed');
  });
  await send.click();
  await page.waitForURL(/^chrome-error:/);
  await page.unroute(url);
  for (const secret of [key.secret, key.other]) expect((await server.whoami(secret)).body.code).toBe('REVOKED');
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'No key is selected' })).toBeVisible();
  await page.getByRole('link', { name: 'Back to the list' }).click();
  await expect(row(page, 'Other')).toContainText('Revoked');
  expect(times(server, key, 'key.revoke')).toBe(2);
});

test('revoking some keys: a double click revokes them, and says so', async ({ open, server }) => {
  const { key, page, send } = await chosen(open, server);
  await send.dblclick();
  await expect(page.getByRole('status')).toContainText('Revoked 2 keys.');
  expect(times(server, key, 'key.revoke')).toBe(2);
});

test('signing in: a double click signs in, and so does another try after the answer got lost', async ({ open, server }) => {
  const person = server.person({ org: `faults-${word()}` });
  const page = await open();
  const fill = async () => {
    await page.goto('/sign-in?next=/audit');
    await page.getByLabel('Email').fill(person.email);
    await page.getByLabel('Password').fill(person.password);
  };
  await fill();
  await page.route('**/console/fn/sign-in', async route => {
    // Not by way of the browser, which would keep the cookie.
    await server.session(person);
    await route.abort('failed');
  });
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/^chrome-error:/);
  await page.unroute('**/console/fn/sign-in');
  await fill();
  await page.getByRole('button', { name: 'Sign in' }).dblclick();
  await expect(page).toHaveURL('/audit');
  await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible();
});
