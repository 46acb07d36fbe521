// Starts the server on a database of its own and measures the times and sizes that people notice.
//
//   node figures.mjs PROGRAM
//
// KEYDESK_FIGURES_KEYS (1,000,000) is the number of keys in the database while the pages of an organization with ten thousand
// keys are measured.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get, globalAgent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from '../end2end/server.js';

const [program] = process.argv.slice(2);
const keysInAll = Number(process.env.KEYDESK_FIGURES_KEYS || 1_000_000);
const data = mkdtempSync(join(tmpdir(), 'keydesk-figures-'));
// The embedded Postgres may run as another user, who must be able to pass through the folder.
chmodSync(data, 0o711);
const clean = Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('KEYDESK_'));
const env = {
  ...Object.fromEntries(clean), RUST_LOG: 'error',
  KEYDESK_DATA_DIR: data, KEYDESK_CONSOLE_ADDR: '127.0.0.1:0', KEYDESK_KEYS_ADDR: '127.0.0.1:0',
};
const run = (...args) => execFileSync(program, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** Starts the server. Returns its process, the milliseconds until it was ready, and its planes' addresses. */
async function start() {
  const begun = performance.now();
  const child = spawn(program, ['serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    const console = /Console +(\S+)/.exec(said)?.[1];
    const keys = /Key plane +(\S+)/.exec(said)?.[1];
    if (console && keys) return { child, ms: performance.now() - begun, console: console.replace('localhost', '127.0.0.1'), keys };
  }
  throw new Error(`the server ended: ${said}`);
}
const stop = async server => {
  const ended = new Promise(done => server.child.once('exit', done));
  server.child.kill('SIGTERM');
  await ended;
};

/** Sends one GET. Returns the status, the bytes on the wire, and the milliseconds to the first byte of the body. */
const fetchOnce = (url, headers) => new Promise((done, failed) => {
  const begun = performance.now();
  get(url, { headers }, answer => {
    let bytes = 0, ttfb;
    answer.on('data', chunk => { ttfb ??= performance.now() - begun; bytes += chunk.length; });
    answer.on('end', () => done({ status: answer.statusCode, bytes, ttfb, encoding: answer.headers['content-encoding'] }));
  }).on('error', failed);
});

const signIn = (origin, email, password) => new Promise((done, failed) => {
  const form = new URLSearchParams({ email, password, next: '' }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html', origin };
  const sent = request(`${origin}/console/fn/sign-in`, { method: 'POST', headers }, answer => {
    answer.resume();
    const cookie = answer.headers['set-cookie']?.[0].split(';')[0];
    cookie ? done(cookie) : failed(new Error(`sign-in was answered ${answer.statusCode}`));
  });
  sent.on('error', failed);
  sent.end(form);
});

const sorted = values => [...values].sort((a, b) => a - b);
const at = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))];
const rows = [], pages = [];
const row = (what, value, aim = '') => rows.push([what, value, aim]);
const print = (...table) => { for (const cells of table) console.log(`| ${cells.join(' | ')} |`); };
const kB = bytes => `${(bytes / 1000).toFixed(1)} kB`;

/** Adds keys and audit rows until the organization has ten thousand keys and the database `total`, in alternating order. */
function fill(slug, total) {
  new Server({ data }).sql(`
    set session_replication_role = replica;
    insert into orgs (id, slug, name, created_at)
      select gen_random_uuid(), 'figures-' || n, 'Figures ' || n, now() from generate_series(1, 990) n;
    create temp table place as select id, row_number() over (order by slug) as n from orgs where slug like 'figures-%';
    insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_at)
      select overlay(gen_random_uuid()::text placing '0190' || lpad(to_hex(i / 65536), 4, '0') from 1 for 8)::uuid,
             case when i % (${total} / 10000) = 0 then (select id from orgs where slug = '${slug}') else p.id end,
             case i % 4 when 3 then 'test' else 'live' end, 'standard', 'Nightly export ' || i, sha256(i::text::bytea),
             'kd_live_' || substr(md5(i::text), 1, 4) || '…' || substr(md5(i::text), 5, 4), '{read}', now() - i * interval '1 second'
      from generate_series(1, ${total} - 1000) i join place p on p.n = 1 + i % 990;
    insert into key_last_used select id, org_id, created_at, '203.0.113.7', 'curl/8.5.0', null from api_keys
      on conflict do nothing;
    insert into audit_events (chain, seq, at, actor_kind, actor_name, action, subject, summary, details, refused, address, agent, request_id, hash)
      select org_id, 100000 + row_number() over (partition by org_id order by id), created_at, 'operator', 'Operator', 'key.issue', 'key:' || id,
             'Created key “' || name || '”', '{}', false, '', 'keydesk', gen_random_uuid(), '' from api_keys where created_by is null;`);
  // VACUUM cannot run in the transaction of the other statements.
  for (const table of ['api_keys', 'key_last_used', 'audit_events']) new Server({ data }).sql(`vacuum analyze ${table}`);
  // Without a checkpoint, the measurement would include writing out the new rows.
  new Server({ data }).sql('checkpoint');
}

try {
  const seeded = JSON.parse(run('seed-demo', '--keys', '1000', '--json'));
  const starts = [];
  for (let round = 0; round < 5; round++) {
    const server = await start();
    starts.push(server.ms);
    if (round < 4) { await stop(server); continue; }
    await new Promise(done => setTimeout(done, 3000));
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) * 1024;
    row('`keydesk serve` ready, database there already (median of 5)', `${Math.round(at(starts, 0.5))} ms`, '≤ 2,000 ms');
    row('resident memory, idle, without Postgres', `${(resident / 1e6).toFixed(1)} MB`, '≤ 60 MB');

    const cookie = await signIn(server.console, seeded.email, seeded.password);
    const headers = { cookie, 'accept-encoding': 'br' };
    const lists = [];
    for (let n = 0; n < 210; n++) lists.push(await fetchOnce(`${server.console}/keys`, headers));
    if (lists.some(list => list.status !== 200)) throw new Error(`the keys page was answered ${lists[0].status}`);
    const ttfb = lists.slice(10).map(list => list.ttfb);
    row('keys page of 1,000 keys, time to first byte, median', `${at(ttfb, 0.5).toFixed(1)} ms`);
    row('the same, p99 of 200', `${at(ttfb, 0.99).toFixed(1)} ms`);
    row(`the same, HTML, ${lists[0].encoding ?? 'not compressed'}`, kB(lists[0].bytes));
    const assets = JSON.parse(readFileSync(join(program, '../site/assets.json'), 'utf8'));
    let total = 0;
    for (const kind of ['wasm', 'js', 'css']) {
      const file = await fetchOnce(`${server.console}/pkg/${assets[kind]}`, headers);
      total += file.bytes;
      row(`${kind}, ${file.encoding}`, kB(file.bytes));
    }
    row('wasm + JS + CSS, compressed', kB(total), '≤ 120 kB');

    fill(seeded.org, keysInAll);
    // The server has closed the idle connections meanwhile.
    globalAgent.destroy();
    const everything = new Server({ data });
    const of = name => everything.sql(`select k.id from api_keys k join orgs o on o.id = k.org_id where o.slug = '${seeded.org}' and k.name = '${name}' limit 1`).trim();
    const hint = everything.sql(`select k.hint from api_keys k join orgs o on o.id = k.org_id where o.slug = '${seeded.org}' and k.name like 'Nightly export 9%' limit 1`).trim();
    const used = of('Checkout service');
    for (const [what, path] of [
      ['the list', '/keys'], ['its last page', '/keys?page=200'], ['oldest first', '/keys?sort=created'],
      ['sorted by name', '/keys?sort=name'], ['sorted by name, its last page', '/keys?sort=name&page=200'],
      ['sorted by last use', '/keys?sort=-used'], ['sorted by expiry', '/keys?sort=expires'],
      ['a search', '/keys?q=export+99'], ['a search for two letters', '/keys?q=ex'], ['a search that finds nothing', '/keys?q=no+such+key'],
      ['a hint', `/keys?q=${encodeURIComponent(hint)}`], ['a search with two filters', '/keys?q=export&environment=test&status=active'],
      ['filtered by status', '/keys?status=active'], ['filtered by scope', '/keys?scope=read'], ['filtered by creator', '/keys?creator=operator'],
      ['unused for 30 days', '/keys?unused=30'], ['a busy key’s page, 24 hours', `/keys/${used}`], ['a busy key’s page, 30 days', `/keys/${used}?usage=30d`],
      ['the audit log', '/audit'], ['the audit log, in its middle', '/audit?before=105000'],
    ]) {
      const answers = [];
      for (let n = 0; n < 220; n++) answers.push(await fetchOnce(`${server.console}${path}`, headers));
      if (answers.some(answer => answer.status !== 200)) throw new Error(`${path} was answered ${answers[0].status}`);
      const times = answers.slice(20).map(answer => answer.ttfb);
      pages.push([what, `${at(times, 0.5).toFixed(1)} ms`, `${at(times, 0.99).toFixed(1)} ms`]);
    }

    const secret = run('key', 'create', '--org', seeded.org, '--name', 'figures').trim();
    const calls = [];
    for (let n = 0; n < 2100; n++) calls.push((await fetchOnce(`${server.keys}/v1/whoami`, { 'x-api-key': secret })).ttfb);
    row('`GET /v1/whoami`, one caller after the other, median', `${at(calls.slice(100), 0.5).toFixed(2)} ms`);
    row('the same, p99 of 2,000', `${at(calls.slice(100), 0.99).toFixed(2)} ms`);
    await stop(server);
  }
  print(['what', 'measured', 'aim'], ['---', '---', '---'], ...rows);
  console.log(`\nTime to the first byte of pages, 200 of each, with 10,000 keys in the organization and ${keysInAll.toLocaleString('en')} in the database (aim: p99 ≤ 25 ms):\n`);
  print(['page', 'median', 'p99'], ['---', '---', '---'], ...pages);
} finally {
  rmSync(data, { recursive: true, force: true });
}
