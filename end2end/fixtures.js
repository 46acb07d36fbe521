// What every test of a page has: a server, people, and pages that are watched for what must never happen.
import { expect, test as base } from '@playwright/test';
import { Server, start } from './server.js';

export { expect };

/** The key plane's answer to a browser is nobody's business here; everything else of a page is watched. */
function watch(context, server, problems) {
  const ours = new URL(server.console).origin;
  context.on('page', page => {
    page.on('pageerror', error => problems.push(`uncaught on ${page.url()}: ${error.stack ?? error}`));
    page.on('console', message => {
      if (/content[- ]security[- ]policy|\[policy\]/i.test(message.text())) {
        problems.push(`policy, on ${page.url()}: ${message.text()}`);
      }
    });
    page.on('request', request => {
      const url = new URL(request.url());
      if (/^https?:|^wss?:/.test(url.protocol) && url.origin !== ours) problems.push(`a request to ${url.origin}`);
    });
  });
}

/** Types somebody's email and password into the form. */
export async function signIn(page, person) {
  await page.goto('/sign-in');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible();
}

export const test = base.extend({
  /** The server that all specs share. */
  server: [async ({}, use) => use(new Server(JSON.parse(process.env.END2END_SERVER))), { scope: 'worker' }],
  /** Its people, by role. */
  people: [async ({}, use) => use(JSON.parse(process.env.END2END_PEOPLE)), { scope: 'worker' }],
  /** Sessions by email: each person signs in once. */
  sessions: [async ({}, use) => use(new Map()), { scope: 'worker' }],

  /**
   * Opens a page: `as` somebody, on a `server` (the shared one if not said), with any option of a browser context. No
   * page opened through it may break the policy, throw, or ask anybody else for anything.
   */
  open: async ({ browser, server: shared, sessions, viewport, colorScheme }, use) => {
    const problems = [];
    const contexts = [];
    const context = async ({ server, ...options }) => {
      const made = await browser.newContext({ baseURL: server.console, reducedMotion: 'reduce', viewport, colorScheme, ...options });
      contexts.push(made);
      watch(made, server, problems);
      await made.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', event => {
          console.error(`[policy] ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
        });
      });
      return made;
    };
    await use(async ({ as, server = shared, ...options } = {}) => {
      if (as && !sessions.has(as.email)) {
        const door = await context({ server });
        await signIn(await door.newPage(), as);
        sessions.set(as.email, await door.storageState());
        await door.close();
      }
      const made = await context({ server, storageState: as && sessions.get(as.email), ...options });
      return made.newPage();
    });
    // Once in a thousand times this Chromium never says that it has closed one; it goes with the browser.
    const late = new Promise(none => setTimeout(none, 10_000).unref());
    await Promise.race([Promise.all(contexts.map(made => made.close())), late]);
    expect(problems, 'no page broke the policy, threw, or asked another origin').toEqual([]);
  },
});

/** A server for one spec alone. */
export function ownServer(name, options) {
  const held = {};
  test.beforeAll(async () => { held.server = await start(name, options); });
  test.afterAll(async () => { await held.server?.stop(); });
  return held;
}

/** Opens the create dialog of `/keys` and fills in what is given. */
export async function fillNewKey(page, name) {
  await islands(page);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name', { exact: true }).fill(name);
}

/** Makes a key in the browser; the dialog stays open with the secret. */
export async function createKey(page, name) {
  await fillNewKey(page, name);
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await expect(page.getByLabel('Your new key')).toBeVisible();
  return page.getByLabel('Your new key').inputValue();
}

/** A key's row in the list. */
export const row = (page, name) =>
  page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });

/** What a page says, or `otherwise` while another takes its place. */
const unlessLeaving = (asked, otherwise) => asked.catch(error => {
  if (/context was destroyed|navigation/i.test(error.message)) return otherwise;
  throw error;
});

/** Waits until the browser half has taken over every island of the page. */
export async function islands(page) {
  const alive = () => unlessLeaving(page.evaluate(() => 'alive' in document.documentElement.dataset), false);
  await expect.poll(alive, { message: 'the islands are alive' }).toBe(true);
}

/** Closes a dialog that shows an answer, and waits for the page that is drawn anew. */
export async function done(page, press = button => button.click()) {
  await page.evaluate(() => { window.before = true; });
  await press(page.getByRole('button', { name: 'Done' }));
  const same = () => unlessLeaving(page.evaluate(() => window.before ?? false), true);
  await expect.poll(same, { message: 'the page is drawn anew' }).toBe(false);
}
