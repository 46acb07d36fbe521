// The keys pages with JavaScript: dialogs, mistakes, lost answers, and a secret that is shown once.
import { createKey, done, expect, fillNewKey, islands, row, signIn, test } from './fixtures.js';
import { word } from './server.js';

let person;
test.beforeAll(({ server }) => { person = server.person({ org: `keys-${word()}` }); });

const name = page => page.getByLabel('Name', { exact: true });
const create = page => page.getByRole('button', { name: 'Create', exact: true });
const dialog = page => page.getByRole('dialog');

/** Whatever of a page could hold something: its text, its fields, its history, its storage. */
const everything = async page => (await page.content()) + (await page.evaluate(() => JSON.stringify([
  [...document.querySelectorAll('input, textarea')].map(field => field.value),
  history.state, { ...localStorage }, { ...sessionStorage }, location.href, document.cookie,
])));

async function keysPage(open, options = {}) {
  const page = await open({ as: person, ...options });
  await page.goto('/keys');
  await islands(page);
  return page;
}

test('a double click on Create makes one key', async ({ open }) => {
  const page = await keysPage(open);
  await fillNewKey(page, 'Clicked twice');
  await create(page).dblclick();
  await expect(page.getByLabel('Your new key')).toHaveValue(/^kd_live_/);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Clicked twice')).toHaveCount(1);
});

test('a wrong name is said beside the field, when it is left and when it is sent, and stays as typed', async ({ open }) => {
  const page = await keysPage(open);
  const long = 'x'.repeat(81);
  await fillNewKey(page, long);
  await page.getByLabel('Tier').focus();
  await expect(name(page)).toHaveAccessibleDescription(/at most 80 characters/);
  await expect(name(page)).toHaveAttribute('aria-invalid', 'true');
  await expect(name(page)).toHaveValue(long);
  await name(page).fill('  ');
  await create(page).click();
  await expect(name(page)).toHaveAccessibleDescription(/Give the key a name/);
  await expect(name(page)).toBeFocused();
  await expect(name(page)).toHaveValue('  ');
  await name(page).fill('Mended');
  await create(page).click();
  await expect(page.getByLabel('Your new key')).toBeVisible();
});

test('Esc and Cancel close the dialog, and the focus goes back to the button that opened it', async ({ open }) => {
  const page = await keysPage(open);
  const opener = page.getByRole('button', { name: 'Create key' });
  await fillNewKey(page, 'Not meant');
  await page.keyboard.press('Escape');
  await expect(dialog(page)).toHaveCount(0);
  await expect(opener).toBeFocused();
  await opener.click();
  await expect(name(page), 'what was typed is forgotten').toHaveValue('');
  await dialog(page).getByRole('link', { name: 'Cancel' }).click();
  await expect(dialog(page)).toHaveCount(0);
  await expect(opener).toBeFocused();
  await expect(page).toHaveURL('/keys');
});

test('Copy key copies the key, and says so', async ({ open }) => {
  const page = await keysPage(open, { permissions: ['clipboard-read', 'clipboard-write'] });
  const key = await createKey(page, 'Copied');
  await page.getByRole('button', { name: 'Copy key' }).click();
  await expect(dialog(page).getByRole('status').filter({ hasText: 'Copied' })).toHaveCount(1);
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(key);
});

test('where the browser does not let it copy, it does not say so: the key is selected and the keys to press are named', async ({ open }) => {
  const page = await open({ as: person });
  await page.addInitScript(() => {
    delete Navigator.prototype.clipboard;
    document.execCommand = () => false;
  });
  await page.goto('/keys');
  const key = await createKey(page, 'Not copied');
  await page.getByRole('button', { name: 'Copy key' }).click();
  await expect(dialog(page).getByRole('status').filter({ hasText: 'Press Ctrl+C' })).toHaveCount(1);
  await expect(dialog(page)).not.toContainText('Copied');
  const selected = () => page.evaluate(() => {
    const { activeElement: field } = document;
    return field.value?.slice(field.selectionStart, field.selectionEnd) || getSelection().toString();
  });
  expect(await selected()).toBe(key);
});

test('copying works too where the server drew the secret into the page', async ({ open }) => {
  const page = await open({ as: person, permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto('/webhooks');
  await page.getByRole('button', { name: 'Generate secret' }).click();
  const secret = await page.getByLabel('Your webhook secret').inputValue();
  await expect(async () => {
    await page.getByRole('button', { name: 'Copy secret' }).click();
    await expect(page.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible({ timeout: 1_000 });
  }).toPass();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
});

test('after Done the secret is nowhere: not in the page, its history or storage, nor by reload, back or forward', async ({ open }) => {
  const page = await open({ as: person });
  await page.goto('/members');
  await page.goto('/keys');
  const key = await createKey(page, 'Seen once');
  expect(await everything(page), 'while it is shown, this looks in the right place').toContain(key);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(row(page, 'Seen once')).toBeVisible();
  expect(await everything(page)).not.toContain(key);
  await page.reload();
  expect(await everything(page)).not.toContain(key);
  await page.goto('/settings');
  for (const step of ['goBack', 'goBack', 'goForward', 'goForward']) {
    await page[step]();
    await page.waitForLoadState();
    expect(await everything(page), step).not.toContain(key);
  }
});

test('leaving without Done: the secret is not there on coming back', async ({ open }) => {
  const page = await keysPage(open);
  const key = await createKey(page, 'Left in a hurry');
  await page.goto('/members');
  await page.goBack();
  await expect(row(page, 'Left in a hurry')).toBeVisible();
  expect(await everything(page)).not.toContain(key);
});

test('the server cannot be reached: a clear message, what was typed stays, and it can be sent again', async ({ open }) => {
  const page = await keysPage(open);
  await page.route('**/console/fn/keys/issue', route => route.abort());
  await fillNewKey(page, 'Patient');
  await page.getByLabel('Environment').selectOption('test');
  await create(page).click();
  await expect(dialog(page).getByRole('alert')).toContainText(/could not reach|got lost/);
  await expect(name(page)).toHaveValue('Patient');
  await expect(page.getByLabel('Environment')).toHaveValue('test');
  await expect(create(page)).toBeEnabled();
  await page.unroute('**/console/fn/keys/issue');
  await create(page).click();
  await expect(page.getByLabel('Your new key')).toHaveValue(/^kd_test_/);
});

test('the answer got lost after the key was made: sending it again makes no second key, and says so', async ({ open }) => {
  const page = await keysPage(open);
  await page.route('**/console/fn/keys/issue', async route => {
    await route.fetch();
    await route.abort();
  });
  await fillNewKey(page, 'Lost answer');
  await create(page).click();
  await expect(dialog(page).getByRole('alert')).toContainText(/could not reach|got lost/);
  await page.unroute('**/console/fn/keys/issue');
  await create(page).click();
  await expect(dialog(page).getByRole('alert')).toContainText('already created the key “Lost answer”');
  await page.reload();
  await expect(row(page, 'Lost answer')).toHaveCount(1);
});

test('a slow server: the button says what it does, waits, and Esc does not lose the answer', async ({ open }) => {
  const page = await keysPage(open);
  let release;
  const released = new Promise(go => { release = go; });
  await page.route('**/console/fn/keys/issue', async route => {
    await released;
    await route.continue();
  });
  await fillNewKey(page, 'Slow');
  await create(page).click();
  await expect(page.getByRole('button', { name: 'Creating…' })).toBeDisabled();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  release();
  await expect(page.getByLabel('Your new key')).toBeVisible();
});

test('the session ended meanwhile: said in the dialog, what was typed stays and is sent after signing in elsewhere', async ({ open }) => {
  const page = await keysPage(open);
  await fillNewKey(page, 'Still here');
  await page.context().clearCookies();
  await create(page).click();
  await expect(dialog(page).getByRole('alert')).toContainText('Your session has ended');
  await expect(name(page)).toHaveValue('Still here');
  const tab = page.context().waitForEvent('page');
  await dialog(page).getByRole('link', { name: 'Sign in' }).click();
  await signIn(await tab, person);
  await create(page).click();
  await expect(page.getByLabel('Your new key')).toBeVisible();
});

test('revoking all keys asks for the organization’s name, and says how many', async ({ open, server }) => {
  const owner = server.person({ org: `all-${word()}` });
  const keys = ['One', 'Two', 'Three'].map(one => server.key(owner.org, one));
  const page = await open({ as: owner });
  await page.goto('/keys');
  await islands(page);
  await page.getByRole('button', { name: 'Revoke all keys' }).click();
  await expect(dialog(page).getByRole('heading', { name: 'Revoke all 3 keys?' })).toBeVisible();
  const confirmation = dialog(page).getByRole('textbox');
  await confirmation.fill('all');
  await dialog(page).getByRole('button', { name: 'Revoke 3 keys' }).click();
  await expect(confirmation).toHaveAccessibleDescription(/exactly/);
  await expect(confirmation).toHaveValue('all');
  expect((await server.whoami(keys[0])).status).toBe(200);
  await confirmation.fill(owner.org);
  await dialog(page).getByRole('button', { name: 'Revoke 3 keys' }).click();
  await expect(dialog(page).getByRole('heading', { name: 'Revoked 3 keys.' })).toBeVisible();
  for (const key of keys) expect((await server.whoami(key)).body.code).toBe('REVOKED');
});

test('two people revoke the same key at once: both are told that it is revoked', async ({ open, server }) => {
  const owner = server.person({ org: `two-${word()}` });
  const admin = server.person({ org: owner.org, role: 'admin' });
  const key = server.key(owner.org, 'Wanted dead');
  const pages = [await open({ as: owner }), await open({ as: admin })];
  for (const page of pages) {
    await page.goto('/keys');
    await islands(page);
    await page.getByRole('button', { name: 'Revoke Wanted dead' }).click();
  }
  await Promise.all(pages.map(page => page.getByRole('button', { name: 'Revoke key' }).click()));
  for (const page of pages) {
    await expect(dialog(page).getByRole('heading', { name: /Revoked “Wanted dead”|was revoked already/ })).toBeVisible();
    await dialog(page).getByRole('button', { name: 'Done' }).click();
    await expect(row(page, 'Wanted dead')).toContainText('Revoked');
  }
  expect((await server.whoami(key)).body.code).toBe('REVOKED');
  const said = `Revoked key “Wanted dead” (${key.slice(0, 12)}…${key.slice(-4)})%`;
  expect(server.sql(`select count(*) from audit_events where summary like '${said}'`).trim(), 'one of them did it').toBe('1');
});

test('a long list is read page by page, forwards and back, and each key is on one page', async ({ open, people }) => {
  const page = await open({ as: people.demo });
  await page.goto('/keys');
  const seen = async () => page.getByRole('rowheader').getByRole('link').evaluateAll(links => links.map(link => link.href));
  const all = new Set(await seen());
  await expect(page.getByRole('link', { name: 'Previous' })).toHaveCount(0);
  const total = Number.parseInt(await page.getByText(/^\d+ keys$/).textContent(), 10);
  let pages = 1;
  for (; await page.getByRole('link', { name: 'Next' }).count(); pages += 1) {
    await page.getByRole('link', { name: 'Next' }).click();
    await expect(page).toHaveURL(`/keys?page=${pages + 1}`);
    await page.waitForLoadState();
    for (const href of await seen()) all.add(href);
  }
  expect(total).toBeGreaterThanOrEqual(120);
  expect(pages).toBe(Math.ceil(total / 50));
  expect(all.size).toBe(total);
  await page.getByRole('link', { name: 'Previous' }).click();
  await expect(page).toHaveURL(`/keys?page=${pages - 1}`);
});

test('revoking on a later page ends on that page', async ({ open, people }) => {
  const page = await open({ as: people.demo });
  await page.goto('/keys?page=2');
  await islands(page);
  await page.getByRole('button', { name: /^Revoke (?!all)/ }).first().click();
  await page.getByRole('button', { name: 'Revoke key' }).click();
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await expect(page).toHaveURL('/keys?page=2');
  await expect(dialog(page)).toHaveCount(0);
});

test('with the keyboard alone: create, copy, rotate, revoke', async ({ open, server }) => {
  const page = await keysPage(open, { permissions: ['clipboard-read', 'clipboard-write'] });
  const reach = async target => {
    await expect(target).toBeVisible();
    for (let steps = 0; steps < 80; steps += 1) {
      if (await target.evaluate(element => element === document.activeElement)) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab does not reach ${target}`);
  };
  const press = async target => {
    await reach(target);
    await page.keyboard.press('Enter');
  };
  const copied = async () => {
    await expect(page.getByLabel('Your new key')).toBeVisible();
    await press(page.getByRole('button', { name: 'Copy key' }));
    await expect(dialog(page).getByRole('status').filter({ hasText: 'Copied' })).toHaveCount(1);
    const key = await page.evaluate(() => navigator.clipboard.readText());
    expect((await server.whoami(key)).status).toBe(200);
    await done(page, press);
    await expect(dialog(page)).toHaveCount(0);
    return key;
  };
  await press(page.getByRole('button', { name: 'Create key' }));
  await reach(name(page));
  await page.keyboard.type('Typed only');
  await press(create(page));
  const first = await copied();

  await press(row(page, 'Typed only').getByRole('link'));
  await expect(page.getByRole('heading', { level: 1, name: 'Typed only' })).toBeVisible();
  await islands(page);
  await press(page.getByRole('button', { name: 'Rotate', exact: true }));
  await reach(page.getByLabel('Why'));
  // One letter: between two, a browser does not wait for long before it begins anew.
  await page.keyboard.press('l');
  await expect(page.getByLabel('Why')).toHaveValue('key_compromise');
  await press(page.getByRole('button', { name: 'Rotate key' }));
  const second = await copied();
  expect((await server.whoami(first)).body.code).toBe('ROTATED');

  await press(page.getByRole('region', { name: 'Rotation' }).getByRole('link'));
  await expect(page.getByRole('region', { name: 'Rotation' })).toContainText(`${second.slice(-4)}This key`);
  await islands(page);
  await press(page.getByRole('button', { name: 'Revoke Typed only' }));
  await press(dialog(page).getByRole('button', { name: 'Revoke key' }));
  await expect(dialog(page).getByRole('heading', { name: /^Revoked/ })).toBeVisible();
  await press(dialog(page).getByRole('button', { name: 'Done' }));
  await expect(page.getByRole('main')).toContainText(/Revoked (just now|\d+ minutes? ago)/);
  expect((await server.whoami(second)).body.code).toBe('REVOKED');
});
