// Everything that can be changed can be changed without JavaScript.
import { expect, ownServer, row, signIn, test } from './fixtures.js';
import { password, word } from './server.js';

const PLAIN = { javaScriptEnabled: false };

/** The answer to the form that this button sends. */
async function send(page, name) {
  const answered = page.waitForResponse(response => response.request().method() === 'POST');
  await page.getByRole('button', { name, exact: true }).click();
  const response = await answered;
  await page.waitForLoadState();
  return response;
}

/** Opens the create form and fills in a name. */
async function newKey(page, name) {
  await page.goto('/keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  await expect(page).toHaveURL(/[?&]new=1/);
  await page.getByLabel('Name', { exact: true }).fill(name);
}

/** Makes a key; answers its secret. */
async function makeKey(page, name) {
  await newKey(page, name);
  expect((await send(page, 'Create')).status()).toBe(200);
  return page.getByLabel('Your new key').inputValue();
}

test.describe('set-up', () => {
  const own = ownServer('plain');

  test('makes the first owner, keeps what was typed when something is wrong, and works once', async ({ open }) => {
    const { server } = own;
    const page = await open({ server, ...PLAIN });
    await page.goto(server.link);
    await page.getByLabel('Organization').fill('Plain & Sons');
    await page.getByLabel('Your name').fill('Pat Plain');
    await page.getByLabel('Email').fill('pat@example.com');
    await page.getByLabel('Password').fill('too short');
    expect((await send(page, 'Create organization')).status()).toBe(422);
    await expect(page.getByLabel('Password')).toHaveAccessibleDescription(/at least 15 characters/);
    await expect(page.getByLabel('Password')).toHaveValue('');
    await expect(page.getByLabel('Organization')).toHaveValue('Plain & Sons');
    await expect(page.getByLabel('Your name')).toHaveValue('Pat Plain');
    await expect(page.getByLabel('Email')).toHaveValue('pat@example.com');
    await page.getByLabel('Password').fill(password());
    await page.getByRole('button', { name: 'Create organization' }).click();
    await expect(page).toHaveURL('/keys');
    await expect(page.getByRole('banner')).toContainText('Plain & Sons');
    expect((await page.goto(server.link)).status()).toBe(404);
  });
});

test('signing in: a wrong password is refused, the email stays and the password does not', async ({ open, server }) => {
  const person = server.person({ org: 'plain-sign-in' });
  const page = await open(PLAIN);
  await page.goto('/sign-in');
  await page.getByLabel('Email').fill(person.email);
  const wrong = password();
  await page.getByLabel('Password').fill(wrong);
  expect((await send(page, 'Sign in')).status()).toBe(401);
  await expect(page.getByRole('alert')).toContainText('Email or password is wrong');
  await expect(page.getByLabel('Email')).toHaveValue(person.email);
  await expect(page.getByLabel('Password')).toHaveValue('');
  expect(await page.content()).not.toContain(wrong);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL('/keys');
});

test('signing in leads to the page one was going to, and to no other site', async ({ open, server }) => {
  const person = server.person({ org: 'plain-next' });
  for (const [path, to] of [['/audit', '/audit'], ['/sign-in?next=//evil.example/', '/keys']]) {
    const page = await open(PLAIN);
    await page.goto(path);
    await page.getByLabel('Email').fill(person.email);
    await page.getByLabel('Password').fill(person.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page).toHaveURL(to);
  }
});

test('signing out ends the session, not only the cookie', async ({ open, server }) => {
  const person = server.person({ org: 'plain-sign-out' });
  const page = await open(PLAIN);
  await signIn(page, person);
  const state = await page.context().storageState();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('status')).toContainText('You are signed out.');
  const thief = await open({ ...PLAIN, storageState: state });
  await thief.goto('/keys');
  await expect(thief).toHaveURL(/\/sign-in/);
});

test.describe('keys', () => {
  let person;
  test.beforeAll(({ server }) => { person = server.person({ org: `plain-${word()}` }); });

  test('a new key: the answer to the form is the page with its secret', async ({ open, server }) => {
    const page = await open({ ...PLAIN, as: person });
    await newKey(page, 'By form');
    await page.getByLabel('Environment').selectOption('test');
    await page.getByLabel('Expires').selectOption('30d');
    const answer = await send(page, 'Create');
    expect(answer.status()).toBe(200);
    expect(answer.headers()['cache-control']).toBe('no-store');
    const field = page.getByLabel('Your new key');
    await expect(field).toHaveAttribute('readonly');
    const key = await field.inputValue();
    expect(key).toMatch(/^kd_test_/);
    expect(page.url()).not.toContain(key);
    expect((await server.whoami(key)).status).toBe(200);
    await page.getByRole('button', { name: 'Done' }).click();
    await expect(row(page, 'By form')).toBeVisible();
    expect(await page.content()).not.toContain(key);
  });

  test('a new key without a name: said beside the field, and what was chosen stays', async ({ open }) => {
    const page = await open({ ...PLAIN, as: person });
    await newKey(page, '   ');
    await page.getByLabel('Environment').selectOption('test');
    await page.getByLabel('Expires').selectOption('90d');
    await page.getByRole('checkbox').last().check();
    expect((await send(page, 'Create')).status()).toBe(422);
    await expect(page.getByLabel('Name', { exact: true })).toHaveAccessibleDescription(/Give the key a name/);
    await expect(page.getByLabel('Name', { exact: true })).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByLabel('Environment')).toHaveValue('test');
    await expect(page.getByLabel('Expires')).toHaveValue('90d');
    await expect(page.getByRole('checkbox').last()).toBeChecked();
    await page.getByLabel('Name', { exact: true }).fill('x'.repeat(81));
    expect((await send(page, 'Create')).status()).toBe(422);
    await expect(page.getByLabel('Name', { exact: true })).toHaveValue('x'.repeat(81));
  });

  test('the same form sent twice makes one key, and its secret is not shown again', async ({ open, server }) => {
    const page = await open({ ...PLAIN, as: person });
    await newKey(page, 'Only once');
    const answered = page.waitForRequest('**/console/fn/keys/issue');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    const body = (await answered).postData();
    const key = await page.getByLabel('Your new key').inputValue();
    const again = await page.request.post('/console/fn/keys/issue', {
      data: body,
      headers: { accept: 'text/html', origin: server.console, 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(again.status()).toBe(409);
    const text = await again.text();
    expect(text).toContain('already created');
    expect(text).toContain('Only once');
    expect(text).toContain(key.slice(-4));
    expect(text).not.toContain(key);
    expect(text).not.toMatch(/kd_live_[0-9A-Za-z]{20}/);
    await page.goto('/keys');
    await expect(row(page, 'Only once')).toHaveCount(1);
  });

  test('the session ended meanwhile: what was typed is kept, and is sent again after signing in', async ({ open }) => {
    const page = await open({ ...PLAIN, as: person });
    await newKey(page, 'Typed with care');
    await page.context().clearCookies();
    expect((await send(page, 'Create')).status()).toBe(401);
    await expect(page.getByRole('heading', { name: 'Your session has ended' })).toBeVisible();
    const tab = page.context().waitForEvent('page');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await signIn(await tab, person);
    expect((await send(page, 'Send it again')).status()).toBe(200);
    await expect(page.getByLabel('Your new key')).toBeVisible();
    await expect(page.getByRole('heading', { name: 'Typed with care' })).toBeVisible();
  });

  for (const [where, path] of [['the list', '/keys'], ['its own page', '/keys/']]) {
    test(`revoking one from ${where}`, async ({ open, server }) => {
      const name = `Revoked from ${where}`;
      const page = await open({ ...PLAIN, as: person });
      const key = await makeKey(page, name);
      await page.goto('/keys');
      if (path !== '/keys') await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('button', { name: `Revoke ${name}` }).click();
      await expect(page.getByRole('dialog')).toContainText(name);
      await page.getByLabel('Reason').selectOption({ index: 2 });
      expect((await send(page, 'Revoke key')).status()).toBe(200);
      await expect(page.getByRole('status')).toContainText(`Revoked “${name}”.`);
      expect(await server.whoami(key)).toMatchObject({ status: 401, body: { code: 'REVOKED' } });
      await expect(page.getByRole('button', { name: `Revoke ${name}` })).toHaveCount(0);
    });
  }
});

test('revoking all keys: only once the name is typed', async ({ open, server }) => {
  const person = server.person({ org: `plain-all-${word()}` });
  const keys = [server.key(person.org, 'One'), server.key(person.org, 'Two')];
  const page = await open({ ...PLAIN, as: person });
  await page.goto('/keys');
  await page.getByRole('button', { name: 'Revoke all keys' }).click();
  const confirmation = page.getByRole('dialog').getByRole('textbox');
  await confirmation.fill('plain');
  expect((await send(page, 'Revoke 2 keys')).status()).toBe(422);
  await expect(confirmation).toHaveValue('plain');
  await expect(confirmation).toHaveAccessibleDescription(/exactly/);
  expect((await server.whoami(keys[0])).status).toBe(200);
  await confirmation.fill(person.org);
  expect((await send(page, 'Revoke 2 keys')).status()).toBe(200);
  await expect(page.getByRole('status')).toContainText('Revoked 2 keys.');
  for (const key of keys) expect((await server.whoami(key)).body.code).toBe('REVOKED');
  await expect(page.getByRole('button', { name: 'Revoke all keys' })).toHaveCount(0);
});

test('webhook secrets: shown once when made, and again other ones when replaced', async ({ open, server }) => {
  const person = server.person({ org: `plain-hooks-${word()}` });
  const page = await open({ ...PLAIN, as: person });
  await page.goto('/webhooks');
  const answer = await send(page, 'Generate secret');
  expect(answer.status()).toBe(200);
  expect(answer.headers()['cache-control']).toBe('no-store');
  const first = await page.getByLabel('Your webhook secret').inputValue();
  await expect(page.getByLabel('Your webhook secret')).toHaveAttribute('readonly');
  expect(first).toMatch(/^whsec_/);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('main')).toContainText('It cannot be shown again.');
  expect(await page.content()).not.toContain(first);
  await page.getByRole('button', { name: 'Regenerate secret' }).click();
  await expect(page.getByRole('heading', { name: /^Regenerate the secret/ })).toBeVisible();
  const body = page.waitForRequest('**/console/fn/webhooks/regenerate');
  expect((await send(page, 'Regenerate secret')).status()).toBe(200);
  const second = await page.getByLabel('Your webhook secret').inputValue();
  expect(second).not.toBe(first);
  const again = await page.request.post('/console/fn/webhooks/regenerate', {
    data: (await body).postData(),
    headers: { accept: 'text/html', origin: server.console, 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(again.status(), 'the same form once more makes no third').toBe(409);
  expect(await again.text()).not.toContain('whsec_');
});

test.describe('settings', () => {
  test('another session can be ended, and is', async ({ open, server }) => {
    const person = server.person({ org: 'plain-settings' });
    const [here, there] = [await open(PLAIN), await open(PLAIN)];
    await signIn(here, person);
    await signIn(there, person);
    await here.goto('/settings');
    await here.getByRole('button', { name: /^End session on/ }).click();
    await expect(here.getByRole('status')).toContainText('The session has ended.');
    await expect(here.getByRole('button', { name: /^End session on/ })).toHaveCount(0);
    await there.goto('/keys');
    await expect(there).toHaveURL(/\/sign-in/);
    await here.goto('/keys');
    await expect(here).toHaveURL('/keys');
  });

  test('signing out everywhere ends all of them', async ({ open, server }) => {
    const person = server.person({ org: 'plain-everywhere' });
    const [here, there] = [await open(PLAIN), await open(PLAIN)];
    await signIn(here, person);
    await signIn(there, person);
    await here.goto('/settings');
    await here.getByRole('button', { name: 'Sign out everywhere' }).click();
    await expect(here.getByRole('status')).toContainText('signed out everywhere');
    for (const page of [here, there]) {
      await page.goto('/keys');
      await expect(page).toHaveURL(/\/sign-in/);
    }
  });

  test('a new password: refused if the current one is wrong or the new one too short; then only the new one works', async ({ open, server }) => {
    const person = server.person({ org: 'plain-password' });
    const [page, other] = [await open(PLAIN), await open(PLAIN)];
    await signIn(page, person);
    await signIn(other, person);
    const changed = password();
    const change = async (current, next) => {
      await page.goto('/settings');
      await page.getByLabel('Current password').fill(current);
      await page.getByLabel('New password').fill(next);
      await page.getByRole('button', { name: 'Change password' }).click();
    };
    await change(password(), changed);
    await expect(page.getByLabel('Current password')).toHaveAccessibleDescription(/not your current password/);
    await expect(page.getByLabel('New password')).toHaveValue('');
    await change(person.password, 'too short');
    await expect(page.getByLabel('New password')).toHaveAccessibleDescription(/at least 15 characters/);
    await other.goto('/keys');
    await expect(other, 'nothing has changed yet').toHaveURL('/keys');
    await change(person.password, changed);
    await expect(page.getByRole('status')).toContainText('Your password is changed.');
    await page.goto('/keys');
    await expect(page, 'whoever changed it stays signed in').toHaveURL('/keys');
    await other.goto('/keys');
    await expect(other).toHaveURL(/\/sign-in/);
    await signIn(other, { ...person, password: changed });
    const third = await open(PLAIN);
    await third.goto('/sign-in');
    await third.getByLabel('Email').fill(person.email);
    await third.getByLabel('Password').fill(person.password);
    expect((await send(third, 'Sign in')).status()).toBe(401);
  });
});

test('the support desk: found by hint, revoked with a ticket, and the customer can read who did it', async ({ open, server, people }) => {
  const customer = server.person({ org: `plain-customer-${word()}` });
  const key = server.key(customer.org, 'Leaked');
  const page = await open({ ...PLAIN, as: people.support });
  await page.goto('/support');
  await page.getByLabel('Key hint or digest').fill(`${key.slice(0, 12)}...${key.slice(-4)}`);
  expect((await send(page, 'Find key')).status()).toBe(200);
  await expect(page.getByRole('heading', { name: 'Leaked' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText(customer.org);
  await page.getByRole('button', { name: 'Revoke Leaked' }).click();
  expect((await send(page, 'Revoke key')).status(), 'without a ticket').toBe(422);
  await expect(page.getByLabel('Ticket')).toHaveAccessibleDescription(/Name the request/);
  expect((await server.whoami(key)).status).toBe(200);
  await page.getByLabel('Ticket').fill('T-1042');
  expect((await send(page, 'Revoke key')).status()).toBe(200);
  await expect(page.getByRole('status')).toContainText('Revoked “Leaked”.');
  expect((await server.whoami(key)).body.code).toBe('REVOKED');
  const theirs = await open({ ...PLAIN, as: customer });
  await theirs.goto('/audit');
  const line = theirs.getByRole('row').filter({ hasText: 'T-1042' });
  await expect(line).toContainText('Sue Support');
});

test('a whole key pasted at the support desk is found, and is not on the page', async ({ open, server, people }) => {
  const key = server.key('acme-corp', 'Pasted');
  const page = await open({ ...PLAIN, as: people.support });
  await page.goto('/support');
  await page.getByLabel('Key hint or digest').fill(key);
  expect((await send(page, 'Find key')).status()).toBe(200);
  await expect(page.getByRole('heading', { name: 'Pasted' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText('has leaked it');
  expect(await page.content()).not.toContain(key);
});
