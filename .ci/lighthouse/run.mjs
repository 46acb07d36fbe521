// Starts the server on a database of its own, with a demo of a thousand keys in it, and asks Lighthouse about its pages.
//
//   node run.mjs PROGRAM
//
// The mobile profile: a slow phone on a slow network, as Lighthouse simulates them. Medians of three runs. What is not
// perfect is said, with what it costs. KEYDESK_LIGHTHOUSE_RUNS is how many runs instead of three.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from 'chrome-launcher';
import lighthouse from 'lighthouse';

const [program] = process.argv.slice(2);
const runs = Number(process.env.KEYDESK_LIGHTHOUSE_RUNS || 3);
const chromePath = process.env.KEYDESK_CHROMIUM || '/usr/bin/chromium';
const data = mkdtempSync(join(tmpdir(), 'keydesk-lighthouse-'));
// The embedded Postgres may run as another user, who has to pass through.
chmodSync(data, 0o711);
const clean = Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('KEYDESK_'));
const env = {
  ...Object.fromEntries(clean), RUST_LOG: 'error',
  KEYDESK_DATA_DIR: data, KEYDESK_CONSOLE_ADDR: '127.0.0.1:0', KEYDESK_KEYS_ADDR: '127.0.0.1:0',
};

async function start() {
  const child = spawn(program, ['serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    const origin = /Console +(\S+)/.exec(said)?.[1];
    if (origin) return { child, origin };
  }
  throw new Error(`the server ended: ${said}`);
}

async function signIn(origin, { email, password }) {
  const answer = await fetch(`${origin}/console/fn/sign-in`, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ email, password, next: '' }),
    headers: { origin, accept: 'text/html' },
  });
  if (answer.status !== 303) throw new Error(`signing in answered ${answer.status}`);
  return answer.headers.get('set-cookie').split(';')[0];
}

/** One run; what Lighthouse says of a page, in a browser that knows nothing yet. */
async function ask(url, cookie) {
  const chrome = await launch({
    chromePath, chromeFlags: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'], logLevel: 'error',
  });
  try {
    const { lhr } = await lighthouse(url, {
      port: chrome.port, output: [], logLevel: 'error', onlyCategories: ['performance', 'accessibility', 'best-practices'],
      extraHeaders: cookie ? { Cookie: cookie } : {},
    });
    if (lhr.runtimeError) throw new Error(`${url}: ${lhr.runtimeError.message}`);
    return lhr;
  } finally {
    chrome.kill();
  }
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const score = (reports, name) => Math.round(median(reports.map(report => report.categories[name].score)) * 100);
const METRICS = [
  ['first paint', 'first-contentful-paint'], ['largest paint', 'largest-contentful-paint'], ['speed index', 'speed-index'],
  ['blocking', 'total-blocking-time'], ['shift', 'cumulative-layout-shift'],
];
const shown = (reports, id) => {
  const value = median(reports.map(report => report.audits[id].numericValue));
  return id === 'cumulative-layout-shift' ? value.toFixed(3) : `${Math.round(value)} ms`;
};

const server = await start();
const below = [];
try {
  const demo = JSON.parse(execFileSync(program, ['seed-demo', '--keys', '1000', '--json'], { env, encoding: 'utf8' }));
  const cookie = await signIn(server.origin, demo);
  const busiest = await fetch(`${server.origin}/keys?q=Checkout+service`, { headers: { cookie, accept: 'text/html' } });
  const key = /href="(\/keys\/[0-9a-f-]{36})"/.exec(await busiest.text())[1];
  console.log(`| page | performance | accessibility | best practices | ${METRICS.map(([name]) => name).join(' | ')} |`);
  console.log(`|---|---|---|---|${METRICS.map(() => '---|').join('')}`);
  for (const [name, path, as] of [['sign-in', '/sign-in'], ['keys, of 1,000', '/keys', cookie], ['a busy key', key, cookie]]) {
    const reports = [];
    for (let run = 0; run < runs; run += 1) reports.push(await ask(server.origin + path, as));
    const scores = ['performance', 'accessibility', 'best-practices'].map(category => score(reports, category));
    console.log(`| ${[name, ...scores, ...METRICS.map(([, id]) => shown(reports, id))].join(' | ')} |`);
    const last = reports.at(-1);
    for (const category of Object.values(last.categories)) {
      for (const { id, weight } of category.auditRefs) {
        const { score, title, displayValue = '' } = last.audits[id];
        if (weight > 0 && score !== null && score < 1) {
          below.push(`${name}: ${category.title}: ${title}: ${displayValue} (${Math.round(score * 100)}, weight ${weight})`);
        }
      }
    }
  }
} finally {
  const ended = new Promise(done => server.child.once('exit', done));
  server.child.kill('SIGTERM');
  await ended;
  rmSync(data, { recursive: true, force: true });
}
console.log(below.length ? `\nBelow 100 in the last run:\n${below.map(line => `- ${line}`).join('\n')}` : '\nEverything that counts is at 100.');
