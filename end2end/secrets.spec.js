// A secret is where it was shown, once, and nowhere else: not in the log (with RUST_LOG=trace), not in a later page, not in
// the database, not in any file of the data folder.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createKey, expect, ownServer, signIn, test } from './fixtures.js';
import { password } from './server.js';

const own = ownServer('secrets', { logLevel: 'trace' });

test('no secret is in the log, in a later page, or in the database', async ({ open }) => {
  const { server } = own;
  const plain = { server, javaScriptEnabled: false };
  // By what it is called in a failure, never by itself.
  const secrets = new Map([['the set-up token', new URL(server.link).searchParams.get('token')]]);
  const keep = (name, value) => {
    expect(value, name).toMatch(/^\S{12,}$/);
    secrets.set(name, value);
    return value;
  };

  const person = { email: 'ada@example.com', password: keep('the first password', password()) };
  const page = await open({ server });
  await page.goto(server.link);
  await page.getByLabel('Organization').fill('Secretive');
  await page.getByLabel('Your name').fill('Ada Lovelace');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Create organization' }).click();
  await expect(page).toHaveURL('/keys');
  const cookie = async (of, name) => {
    const [only, ...more] = await of.context().cookies();
    expect(more).toEqual([]);
    expect(only).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/', expires: -1 });
    return keep(name, only.value);
  };
  await cookie(page, 'the cookie after the set-up');

  const key = keep('a key made in the dialog', await createKey(page, 'From the dialog'));
  expect((await server.whoami(key)).status).toBe(200);
  await page.getByRole('button', { name: 'Done' }).click();

  const form = await open(plain);
  await form.goto('/sign-in');
  await form.getByLabel('Email').fill(keep('a password typed as an email', password()));
  await form.getByLabel('Password').fill(keep('a wrong password', password()));
  await form.getByRole('button', { name: 'Sign in' }).click();
  await expect(form.getByRole('alert')).toContainText('wrong');
  await signIn(form, person);
  await cookie(form, 'the cookie after signing in');
  await form.goto('/keys?new=1');
  await form.getByLabel('Name', { exact: true }).fill('By form');
  await form.getByRole('button', { name: 'Create', exact: true }).click();
  const second = keep('a key made by form', await form.getByLabel('Your new key').inputValue());
  await form.goto('/webhooks');
  await form.getByRole('button', { name: 'Generate secret' }).click();
  keep('the first webhook secret', await form.getByLabel('Your webhook secret').inputValue());
  await form.goto('/webhooks?regenerate=1');
  await form.getByRole('button', { name: 'Regenerate secret' }).click();
  keep('the second webhook secret', await form.getByLabel('Your webhook secret').inputValue());
  await form.goto('/settings');
  await form.getByLabel('Current password').fill(person.password);
  await form.getByLabel('New password').fill(keep('the second password', password()));
  await form.getByRole('button', { name: 'Change password' }).click();
  await expect(form.getByRole('status')).toContainText('changed');
  await cookie(form, 'the cookie after the change of password');

  const service = keep('a service key', server.run(['service-key', 'create', '--name', 'edge', '--capability', 'verify']));
  const third = keep('a key made on the command line', server.key('secretive', 'From the command line'));
  const verify = asked => server.ask('/v1/keys/verify', {
    method: 'POST', body: JSON.stringify({ key: asked }),
    headers: { authorization: `Bearer ${service}`, 'content-type': 'application/json' },
  });
  expect(await (await verify(third)).json()).toMatchObject({ valid: true });
  const nobodys = keep('a key that never was', `${key.slice(0, -6)}AAAAAA`);
  await verify(nobodys);
  await server.whoami(nobodys);
  await fetch(`${server.keys}/v1/whoami?key=${third}`);
  const staff = server.person({ staff: 'support' });
  const desk = await open(plain);
  await signIn(desk, staff);
  await desk.goto('/support');
  await desk.getByLabel('Key hint or digest').fill(second);
  await desk.getByRole('button', { name: 'Find key' }).click();
  await desk.getByRole('button', { name: 'Revoke By form' }).click();
  await desk.getByLabel('Ticket').fill('T-1');
  await desk.getByRole('button', { name: 'Revoke key' }).click();
  await expect(desk.getByRole('status')).toContainText('Revoked “By form”.');

  await test.step('no later page has one', async () => {
    await form.goto('/keys');
    const links = await form.getByRole('rowheader').getByRole('link').evaluateAll(found => found.map(link => link.getAttribute('href')));
    expect(links).toHaveLength(3);
    for (const path of ['/keys', '/keys?new=1', '/keys?revoke-all=1', ...links, '/webhooks', '/webhooks?regenerate=1', '/audit', '/audit/export', '/members', '/settings']) {
      const text = await (await form.request.get(path)).text();
      for (const [name, secret] of secrets) expect(text.includes(secret), `${name} in ${path}`).toBe(false);
    }
  });

  // What is stored may be stored as bytes.
  const shapes = secret => {
    const raw = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
    return [secret, Buffer.from(secret).toString('hex'), raw.toString('hex'), Buffer.from(secret).toString('base64').replace(/=+$/, '')];
  };

  await test.step('the log has none', async () => {
    const log = readFileSync(server.log, 'utf8');
    expect(log).toContain('path="/console/fn/keys/issue"');
    for (const [name, secret] of secrets) {
      expect(shapes(secret).some(shape => log.includes(shape)), `${name} in the log`).toBe(false);
      if (name !== 'the set-up token') expect(server.stdout.includes(secret), `${name} on standard output`).toBe(false);
    }
  });

  await test.step('the database has none', async () => {
    const tables = server.sql("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')").trim().split('\n');
    expect(tables.length).toBeGreaterThan(8);
    const rows = tables.map(table => server.sql(`select t::text from ${table} t`)).join('\n');
    for (const seen of ['From the dialog', 'ada@example.com', 'T-1', '$argon2id$']) expect(rows, 'the search sees rows').toContain(seen);
    for (const [name, secret] of secrets) {
      expect(shapes(secret).some(shape => rows.includes(shape)), `${name} in the database`).toBe(false);
    }
  });

  await test.step('no file of the data folder has one', async () => {
    server.sql('checkpoint');
    const patterns = [...secrets.values()].join('\n');
    const found = spawnSync('grep', ['-rlaF', '-f', '-', server.data], { input: patterns, encoding: 'utf8' });
    expect(found.stdout).toBe('');
    expect(found.status, found.stderr).toBe(1);
  });
});
