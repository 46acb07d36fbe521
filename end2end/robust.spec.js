// What happens when the server is taken away, and what every answer carries.
import { request } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, ownServer, test } from './fixtures.js';
import { start, word } from './server.js';

/** A request with exactly these headers and no others. Of a body that is only announced, nothing is sent. */
function raw(url, { method = 'GET', headers = {}, body = '', announced } = {}) {
  return new Promise((answered, failed) => {
    const length = announced ?? Buffer.byteLength(body);
    const sent = request(url, { method, headers: { 'content-length': length, ...headers } }, response => {
      const chunks = [];
      response.on('error', failed).on('data', chunk => chunks.push(chunk)).on('end', () => {
        answered({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
        if (announced) sent.destroy();
      });
    });
    sent.on('error', failed);
    if (announced) sent.flushHeaders();
    else sent.end(body);
  });
}

/** An idle connection, kept open: its first answer has been read. */
function idle(url, head = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n') {
  const { hostname, port } = new URL(url);
  return new Promise((ready, failed) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(head));
    if (head.endsWith('\r\n\r\n')) socket.once('data', () => ready(socket));
    else socket.once('ready', () => ready(socket));
    socket.on('error', failed);
  });
}

test.describe('taken away in the middle', () => {
  const own = ownServer('killed');

  for (const [what, also] of [['the server', false], ['the server and its Postgres', true]]) {
    test(`killing ${what} loses nothing that was acknowledged`, async () => {
      const { server } = own;
      const person = server.person({ org: `killed-${word()}` });
      const cookie = await server.session(person);
      const made = [];
      const step = async (name, form) => {
        const response = await server.send(name, form, { cookie });
        // A whole body with a good status is an acknowledgement.
        return response.ok ? response.json() : undefined;
      };
      let running = true;
      const hand = async number => {
        for (let turn = 0; running; turn += 1) {
          const issued = await step('keys/issue', {
            idempotency_key: crypto.randomUUID(), name: `${number}.${turn}`, environment: 'live', tier: 'standard', expires: 'never',
          });
          if (!issued) continue;
          const key = { secret: issued.secret, expected: 'VALID' };
          made.push(key);
          if (turn % 2) continue;
          // Until the answer is there, either is right.
          key.expected = undefined;
          if (await step('keys/revoke', { key_id: issued.id, reason: 'other' })) key.expected = 'REVOKED';
        }
      };
      const hands = [1, 2, 3, 4].map(number => hand(number).catch(() => {}));
      await expect.poll(() => made.filter(key => key.expected === 'REVOKED').length, { intervals: [10], timeout: 60_000 }).toBeGreaterThan(12);
      const postmaster = Number(readFileSync(join(server.data, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]);
      await server.kill();
      if (also) process.kill(postmaster, 'SIGKILL');
      running = false;
      await Promise.all(hands);

      await server.start();
      const service = server.run(['service-key', 'create', '--name', word(), '--capability', 'verify']);
      const counted = { VALID: 0, REVOKED: 0 };
      for (const { secret, expected } of made) {
        const response = await server.ask('/v1/keys/verify', {
          method: 'POST', body: JSON.stringify({ key: secret }),
          headers: { authorization: `Bearer ${service}`, 'content-type': 'application/json' },
        });
        const { code } = await response.json();
        expect(['VALID', 'REVOKED']).toContain(code);
        if (expected) expect(code).toBe(expected);
        counted[code] += 1;
      }
      expect(counted.VALID).toBeGreaterThan(5);
      expect(counted.REVOKED).toBeGreaterThan(12);
      expect(server.run(['audit', 'verify'])).toMatch(/^The audit log is whole/);
    });
  }
});

test('SIGTERM ends it soon, its Postgres too, whatever connections are open', async () => {
  const server = await start('terminated');
  const sockets = [];
  try {
    for (const url of [server.console, server.keys]) {
      sockets.push(await idle(url), await idle(url, 'GET /healthz HTTP/1.1\r\nhost: half'), await idle(url, ''));
    }
    await server.terminate();
    expect(existsSync(join(server.data, 'postgres/postmaster.pid'))).toBe(false);
  } finally {
    for (const socket of sockets) socket.on('error', () => {}).destroy();
    await server.stop();
  }
});

test('a restart prints a fresh set-up link, and the one before is dead', async () => {
  const server = await start('restarted');
  try {
    const token = new URL(server.link).search;
    await server.terminate();
    await server.start();
    expect(new URL(server.link).search).not.toBe(token);
    expect((await raw(`${server.console}/setup${token}`)).status).toBe(404);
    expect((await raw(server.link)).status).toBe(200);
    server.person({ org: 'somebody' });
    expect((await raw(server.link)).status, 'once somebody has an account').toBe(404);
    await server.terminate();
    await server.start();
    expect(server.link).toBe('');
  } finally {
    await server.stop();
  }
});

test.describe('answers', () => {
  const STRICT = "default-src 'none'; frame-ancestors 'none'";

  test('every kind of answer of the console has its headers', async ({ server, people }) => {
    const cookie = await server.session(people.owner);
    const ours = { origin: server.console, 'content-type': 'application/x-www-form-urlencoded' };
    const at = path => `${server.console}${path}`;
    const form = 'email=nobody%40people.example&password=x&next=';
    const answers = {
      page: [200, await raw(at('/keys'), { headers: { cookie } })],
      'sign-in page': [200, await raw(at('/sign-in'))],
      'not found': [404, await raw(at('/nothing'), { headers: { cookie } })],
      'not allowed': [403, await raw(at('/support'), { headers: { cookie } })],
      redirect: [303, await raw(at('/keys'))],
      healthz: [200, await raw(at('/healthz'))],
      export: [200, await raw(at('/audit/export'), { headers: { cookie } })],
      favicon: [200, await raw(at('/favicon.svg'))],
      'missing asset': [404, await raw(at('/pkg/nothing.js'))],
      'wrong method': [405, await raw(at('/keys'), { method: 'DELETE', headers: ours })],
      'function, as JSON': [401, await raw(at('/console/fn/sign-in'), { method: 'POST', body: form, headers: { ...ours, accept: 'application/json' } })],
      'function, as a page': [401, await raw(at('/console/fn/sign-in'), { method: 'POST', body: form, headers: { ...ours, accept: 'text/html' } })],
      'unknown function': [404, await raw(at('/console/fn/nothing'), { method: 'POST', body: form, headers: { ...ours, accept: 'application/json' } })],
      'broken form': [400, await raw(at('/console/fn/keys/issue'), { method: 'POST', body: 'x=y', headers: { ...ours, cookie, accept: 'application/json' } })],
      'too long a form': [413, await raw(at('/console/fn/sign-in'), { method: 'POST', announced: 70_000, headers: ours })],
      'foreign form': [403, await raw(at('/console/fn/sign-in'), { method: 'POST', body: form, headers: { ...ours, origin: 'https://evil.example' } })],
    };
    const nonces = new Set();
    for (const [name, [status, { status: got, headers }]] of Object.entries(answers)) {
      expect.soft(got, name).toBe(status);
      expect.soft(headers['x-content-type-options'], name).toBe('nosniff');
      expect.soft(headers['referrer-policy'], name).toBe('same-origin');
      expect.soft(headers['cross-origin-opener-policy'], name).toBe('same-origin');
      expect.soft(headers['cross-origin-resource-policy'], name).toBe('same-origin');
      expect.soft(headers['x-request-id'], name).toMatch(/^[0-9a-f-]{36}$/);
      if (name !== 'favicon') expect.soft(headers['cache-control'], name).toBe('no-store');
      if (headers['content-type']?.startsWith('text/')) expect.soft(headers['content-type'], name).toMatch(/charset=utf-8/);
      const policy = headers['content-security-policy'];
      if (headers['content-type']?.startsWith('text/html')) {
        const nonce = /'nonce-([\w+/=-]{16,})'/.exec(policy)?.[1];
        expect.soft(nonce && !nonces.has(nonce), `${name}: a nonce of its own`).toBe(true);
        nonces.add(nonce);
        expect.soft(policy, name).toBe(`default-src 'none'; script-src 'self' 'nonce-${nonce}' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`);
      } else {
        expect.soft(policy, name).toBe(STRICT);
      }
    }
    expect(nonces.size).toBeGreaterThanOrEqual(6);
  });

  test('every kind of answer of the key plane has its headers', async ({ server }) => {
    const service = server.run(['service-key', 'create', '--name', `Headers ${word()}`, '--capability', 'verify']);
    const json = { 'content-type': 'application/json', authorization: `Bearer ${service}` };
    for (const [path, status, init] of [
      ['/healthz', 200], ['/v1/whoami', 401], ['/nothing', 404], ['/v1/whoami', 405, { method: 'POST' }],
      ['/v1/keys/verify', 401, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }],
      ['/v1/keys/verify', 400, { method: 'POST', body: '{}', headers: json }],
      ['/v1/keys/verify', 413, { method: 'POST', announced: 70_000, headers: json }],
    ]) {
      const { status: got, headers } = await raw(`${server.keys}${path}`, init);
      expect.soft(got, path).toBe(status);
      expect.soft(headers, path).toMatchObject({
        'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin',
        'content-security-policy': STRICT, 'content-type': status === 200 ? 'application/json' : 'application/problem+json',
      });
    }
  });

  test('hashed assets are kept for a year, and come compressed to who takes that', async ({ server, people }) => {
    const cookie = await server.session(people.owner);
    const html = (await raw(`${server.console}/keys`, { headers: { cookie } })).body.toString();
    const names = [...new Set(html.match(/\/pkg\/[\w.-]+\.(?:js|css|wasm)/g))];
    expect(names.map(name => name.split('.').pop())).toEqual(expect.arrayContaining(['js', 'css', 'wasm']));
    for (const name of names) {
      expect(name, 'its name changes with it').toMatch(/-[0-9a-f]{8,}/);
      const whole = await raw(`${server.console}${name}`);
      const small = await raw(`${server.console}${name}`, { headers: { 'accept-encoding': 'gzip, br' } });
      for (const { status, headers } of [whole, small]) {
        expect(status).toBe(200);
        expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
        expect(headers['x-content-type-options']).toBe('nosniff');
        expect(headers['content-security-policy']).toBe(STRICT);
      }
      expect(whole.headers['content-encoding']).toBeUndefined();
      expect(small.headers['content-encoding']).toBe('br');
      expect(small.headers.vary, name).toMatch(/accept-encoding/i);
      expect(small.body.length).toBeLessThan(whole.body.length / 2);
      if (name.endsWith('.wasm')) expect(whole.headers['content-type']).toBe('application/wasm');
    }
  });

  test('what another site sends is refused, on any path', async ({ server, people }) => {
    const cookie = await server.session(people.owner);
    const foreign = [
      { origin: 'https://evil.example' }, { origin: 'null' }, {}, { origin: server.keys }, { referer: `${server.console}/keys` },
      { origin: `${server.console}.evil.example` },
      { origin: server.console, 'sec-fetch-site': 'cross-site' }, { origin: server.console, 'sec-fetch-site': 'same-site' },
      { origin: server.console, 'sec-fetch-site': 'none' },
    ];
    for (const path of ['/console/fn/keys/issue', '/console/fn/sign-out', '/keys', '/nothing', '/pkg/nothing.js', '/healthz']) {
      for (const headers of foreign) {
        for (const method of ['POST', 'DELETE']) {
          const { status } = await raw(`${server.console}${path}`, { method, headers: { cookie, ...headers } });
          expect(status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(403);
        }
      }
    }
    expect((await raw(`${server.console}/keys`, { headers: { cookie } })).status, 'still signed in').toBe(200);
  });

  test('a session is nothing to the key plane, and a key is nothing to the console', async ({ server, people }) => {
    const cookie = await server.session(people.owner);
    const session = cookie.split('=')[1];
    const missing = await raw(`${server.keys}/v1/whoami`, { headers: { cookie } });
    expect(missing.status).toBe(401);
    expect(JSON.parse(missing.body).code).toBe('MISSING');
    const bearer = await raw(`${server.keys}/v1/whoami`, { headers: { authorization: `Bearer ${session}` } });
    expect(bearer.status).toBe(401);
    const key = server.key('acme-corp', 'Not for the console');
    for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }, { cookie: `${cookie.split('=')[0]}=${key}` }]) {
      const { status, headers: got } = await raw(`${server.console}/keys`, { headers });
      expect(status).toBe(303);
      expect(got.location).toMatch(/^\/sign-in/);
    }
  });

  test('an unknown session id is not adopted: signing in makes a new one', async ({ server, people }) => {
    const name = (await server.session(people.viewer)).split('=')[0];
    const planted = 'AAAAAAAAAAAAAAAAAAAAAA';
    const response = await server.send('sign-in', { email: people.viewer.email, password: people.viewer.password, next: '' }, {
      accept: 'text/html', cookie: `${name}=${planted}`,
    });
    expect(response.status).toBe(303);
    const cookie = response.headers.get('set-cookie');
    expect(cookie).not.toContain(planted);
    expect(cookie).toMatch(/; HttpOnly/i);
    expect(cookie).toMatch(/; SameSite=Lax/i);
    expect(cookie).toMatch(/; Path=\//i);
    expect(cookie).not.toMatch(/domain|expires|max-age/i);
    expect((await raw(`${server.console}/keys`, { headers: { cookie: `${name}=${planted}` } })).status).toBe(303);
  });
});
