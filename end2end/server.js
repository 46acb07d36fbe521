// A Keydesk of one's own: its program, a database folder, ports that were free, and what it printed.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const here = import.meta.dirname;
const target = process.env.CARGO_TARGET_DIR ? resolve(here, '..', process.env.CARGO_TARGET_DIR) : join(here, '../target');
const program = join(target, 'debug/keydesk');
export const results = join(here, 'test-results');

/** Longer than this nothing here takes, on a busy machine either. */
const START = 120_000;
/** After five seconds a server drops what is open; by itself, a half-sent request would hold it up for thirty. */
const STOP = 25_000;

/** A password that every rule accepts. */
export const password = () => randomBytes(18).toString('base64url');

/** A word that is in no other test. */
export const word = () => randomBytes(4).toString('hex');

/** The environment without anything that would lead to somebody's real database. */
function environment(data, extra = {}) {
  const ours = name => name === 'DATABASE_URL' || name.startsWith('KEYDESK_');
  const rest = Object.entries(process.env).filter(([name]) => !ours(name));
  return { ...Object.fromEntries(rest), KEYDESK_DATA_DIR: data, ...extra };
}

/** What the command line and the tests need to know of a running server; plain data, so that workers can have it. */
export class Server {
  constructor({ data, log, console = '', keys = '', link = '' }) {
    Object.assign(this, { data, log, console, keys, link });
  }

  /** Runs a command on the same data folder; answers what it printed, without the last line break. */
  run(args, input = '') {
    const done = spawnSync(program, args, { env: environment(this.data), input, encoding: 'utf8', timeout: START });
    if (done.status !== 0) throw new Error(`keydesk ${args.join(' ')}: ${done.stderr || done.error}`);
    return done.stdout.trimEnd();
  }

  /** Somebody who can sign in. */
  person({ org, role = 'owner', staff, name = `Robin ${word()}` }) {
    const person = { email: `${word()}@people.example`, name, org, role: staff ?? role, password: password() };
    const where = staff ? ['--staff', staff] : ['--org', org, '--role', role];
    const args = ['user', 'create', '--email', person.email, '--name', name, ...where, '--password-stdin'];
    this.run(args, person.password);
    return person;
  }

  /** A key, by its secret. */
  key(org, name, ...more) {
    return this.run(['key', 'create', '--org', org, '--name', name, ...more]);
  }

  /** What a query prints, as the cluster's superuser, whom row-level security does not bind. */
  sql(query) {
    const [, , , port, socket] = readFileSync(join(this.data, 'postgres/postmaster.pid'), 'utf8').split('\n');
    const PGPASSWORD = readFileSync(join(this.data, 'keydesk_owner.password'), 'utf8').trim();
    const args = ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', socket, '-p', port, '-U', 'keydesk_owner', '-d', 'keydesk'];
    const done = spawnSync(psql, [...args, '-c', query], {
      env: { ...process.env, PGPASSWORD }, encoding: 'utf8', maxBuffer: 1 << 28,
    });
    if (done.status !== 0) throw new Error(`psql: ${done.stderr || done.error}`);
    return done.stdout;
  }

  /** Waits until a query finds a row: use and refusals are written in batches. */
  async finds(query) {
    while (this.sql(`select exists (${query})`).trim() !== 't') await sleep(50);
  }

  /** A session's cookie, as the header that a browser would send. */
  async session({ email, password }) {
    const response = await this.send('sign-in', { email, password, next: '' }, { accept: 'text/html' });
    if (response.status !== 303) throw new Error(`signing in answered ${response.status}`);
    return response.headers.get('set-cookie').split(';')[0];
  }

  /** Sends a form of the console without a browser. */
  send(name, form, headers) {
    return fetch(`${this.console}/console/fn/${name}`, {
      method: 'POST', redirect: 'manual', body: new URLSearchParams(form),
      headers: { origin: this.console, accept: 'application/json', ...headers },
    });
  }

  /** Asks the key plane what a key is worth. */
  async whoami(key) {
    const response = await this.ask('/v1/whoami', { headers: { 'x-api-key': key } });
    return { status: response.status, body: await response.json() };
  }

  /** The key plane's answer. A node that the machine has not let run for two seconds may not answer, and is asked again. */
  async ask(path, init) {
    const response = await fetch(`${this.keys}${path}`, init);
    if (response.status !== 503) return response;
    await sleep(50);
    return this.ask(path, init);
  }
}

/** The newest psql there is. */
const psql = spawnSync('sh', ['-c', 'ls -1d ${PG_BIN_DIR:+"$PG_BIN_DIR"/psql} /usr/lib/postgresql/*/bin/psql 2>/dev/null | sort -V | tail -n 1'], {
  encoding: 'utf8',
}).stdout.trim() || 'psql';

/** One that runs under this process, and is stopped by it. */
export class OwnServer extends Server {
  /** What it printed, apart from what it logged. */
  stdout = '';
  catalog = 'default';
  logLevel = 'info';

  async start() {
    mkdirSync(results, { recursive: true });
    this.stdout = '';
    // Started again, it is where it was: pages that are open go on.
    const address = before => `127.0.0.1:${before && new URL(before).port || 0}`;
    this.child = spawn(program, ['serve'], {
      env: environment(this.data, {
        KEYDESK_CONSOLE_ADDR: address(this.console), KEYDESK_KEYS_ADDR: address(this.keys), RUST_LOG: this.logLevel, RUST_BACKTRACE: '1',
        KEYDESK_CATALOG: this.catalog,
      }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { child } = this;
    this.ended = new Promise(ended => child.once('exit', (code, signal) => ended({ code, signal })));
    child.stderr.on('data', bytes => appendFileSync(this.log, bytes));
    const printed = new Promise((ready, failed) => {
      const late = setTimeout(() => failed(new Error(`the server was not ready in time; see ${this.log}`)), START);
      child.stdout.setEncoding('utf8').on('data', text => {
        this.stdout += text;
        appendFileSync(`${this.log}.stdout`, text);
        if (/^ {2}Key plane {2}\S+\n/m.test(this.stdout)) ready(clearTimeout(late));
      });
      this.ended.then(({ code, signal }) => failed(new Error(`the server ended with ${code ?? signal}; see ${this.log}`)));
    });
    await printed;
    this.console = /^ {2}Console {4}(\S+)$/m.exec(this.stdout)[1];
    this.keys = /^ {2}Key plane {2}(\S+)$/m.exec(this.stdout)[1];
    // Printed in the same write, if at all.
    this.link = /^ {2}(http\S+\/setup\?token=\S+)$/m.exec(this.stdout)?.[1] ?? '';
    return this;
  }

  /** Asks it to end, and waits until it has. */
  async terminate() {
    this.child.kill('SIGTERM');
    const late = new Promise(none => setTimeout(none, STOP, undefined).unref());
    const ended = await Promise.race([this.ended, late]);
    if (!ended) {
      this.child.kill('SIGKILL');
      throw new Error(`the server did not end within ${STOP} ms of SIGTERM`);
    }
    if (ended.code !== 0) throw new Error(`the server ended with ${ended.code ?? ended.signal} at SIGTERM`);
  }

  /** Takes it away in the middle of whatever it does. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Ends it and forgets its data. */
  async stop() {
    try {
      if (this.child.exitCode === null && this.child.signalCode === null) await this.terminate();
    } finally {
      rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** A server with an empty database, as a preset or a catalog file says. */
export function start(name, options = {}) {
  const data = mkdtempSync(join(tmpdir(), 'keydesk-end2end-'));
  // Started as root, Postgres runs as somebody else, who has to get through.
  chmodSync(data, 0o711);
  return Object.assign(new OwnServer({ data, log: join(results, `${name}.log`) }), options).start();
}
