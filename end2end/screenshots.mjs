// Every page as a picture, light and dark, wide and phone:  node screenshots.mjs FOLDER
import { mkdirSync } from 'node:fs';
import { chromium } from '@playwright/test';
import config from './playwright.config.js';
import { start } from './server.js';

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });

const server = await start('screenshots');
// One where nobody has an account yet.
const untouched = await start('screenshots-setup');
const demo = JSON.parse(server.run(['seed-demo', '--keys', '60', '--json']));
const staff = server.person({ staff: 'support', name: 'Sam Okoye' });
const fresh = server.person({ org: 'fresh', name: 'Noor Haddad' });
const browser = await chromium.launch(config.use.launchOptions);

async function signIn(page, email, password) {
  await page.goto(`${server.console}/sign-in`);
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

// Something refused, and nodes that are late or gone.
server.person({ org: 'elsewhere' });
const secret = server.key('elsewhere', 'Yesterday’s');
server.run(['key', 'revoke', '--hint', `${secret.slice(0, 12)}…${secret.slice(-4)}`, '--reason', 'other']);
await server.whoami(secret);
await server.whoami('kd_live_nonsense');

let made = 0;
try {
  for (const [size, viewport] of [['wide', { width: 1440, height: 900 }], ['phone', { width: 390, height: 844 }]]) {
    for (const colorScheme of ['light', 'dark']) {
      const context = () => browser.newContext({
        viewport, colorScheme, reducedMotion: 'reduce', deviceScaleFactor: size === 'phone' ? 2 : 1,
      });
      let page = await (await context()).newPage();
      const shoot = async (name, fullPage = false) => {
        await page.waitForLoadState('networkidle');
        await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png`, fullPage });
      };
      const goto = path => page.goto(`${server.console}${path}`);

      await goto('/sign-in');
      await shoot('sign-in');
      await page.getByLabel('Email').fill('dana@demo.example');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await shoot('sign-in-refused');
      await goto('/setup?token=none');
      await shoot('dead-link');
      await page.goto(untouched.link);
      await shoot('setup');

      await signIn(page, demo.email, demo.password);
      await shoot('keys');
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByLabel('Name').fill(`CI deploys, region ${++made}`);
      await shoot('create');
      await page.getByRole('button', { name: 'Create', exact: true }).click();
      await page.getByLabel('Your new key').waitFor();
      await shoot('created');
      await page.getByRole('button', { name: 'Done' }).click();
      await page.waitForLoadState('networkidle');
      await page.locator('th a[href^="/keys/"]').first().click();
      await page.getByRole('button', { name: 'Disable' }).click();
      await shoot('disabled');
      await page.getByRole('button', { name: 'Enable' }).click();
      await shoot('unconfirmed');
      await goto('/keys');
      await page.getByRole('button', { name: /^Revoke (?!all)/ }).first().click();
      await shoot('revoke');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Revoke all keys' }).click();
      await shoot('revoke-all');
      await page.keyboard.press('Escape');
      // One that is used, and takes another's place.
      await goto('/keys?q=Partner+portal&status=active');
      await page.locator('th a[href^="/keys/"]').first().click();
      await shoot('key', true);
      await page.getByRole('button', { name: 'Edit', exact: true }).click();
      await shoot('edit');
      await goto('/keys?status=active&unused=7&sort=name');
      await shoot('keys-filtered');
      await goto('/keys?status=active&sort=-used');
      for (const box of (await page.locator('[data-pick]').all()).slice(0, 3)) await box.check();
      await page.getByRole('button', { name: 'Revoke selected' }).click();
      await shoot('revoke-some');
      // Each time another one: what was replaced, or replaces one that goes on, cannot be.
      const replaceable = server.sql(`select k.id from api_keys k join key_last_used u on u.key_id = k.id
        where k.org_id = (select id from orgs where slug = '${demo.org}') and k.predecessor is null and k.overlap_ends_at is null
          and k.revoked_at is null and k.disabled_at is null and (k.expires_at is null or k.expires_at > now())
        order by u.used_at desc limit 1`).trim();
      await goto(`/keys/${replaceable}`);
      await page.getByRole('button', { name: 'Rotate', exact: true }).click();
      await shoot('rotate');
      await page.getByRole('button', { name: 'Rotate key' }).click();
      await page.getByLabel('Your new key').waitFor();
      await page.getByRole('button', { name: 'Done' }).click();
      await page.getByRole('heading', { name: 'Rotation' }).waitFor();
      await shoot('rotation', true);
      await goto('/members');
      await page.getByRole('link', { name: /^Manage / }).first().click();
      await shoot('member');
      await goto('/api/v1/docs');
      await page.locator('#createKey summary').click();
      await shoot('api-docs');
      for (const name of ['webhooks', 'audit', 'members', 'settings']) {
        await goto(`/${name}`);
        await shoot(name, name === 'settings');
      }
      await goto('/no-such-page');
      await shoot('not-found');
      await goto('/support');
      await shoot('not-allowed');

      page = await (await context()).newPage();
      await signIn(page, fresh.email, fresh.password);
      await shoot('keys-empty');
      await goto('/webhooks?environment=test');
      await page.getByRole('button', { name: /enerate secret/ }).click();
      await shoot('webhook-secret');

      page = await (await context()).newPage();
      await signIn(page, staff.email, staff.password);
      await shoot('support');
      const hint = server.sql("select hint from api_keys where name = 'Checkout service' order by id limit 1").trim();
      await page.getByLabel('Key hint or digest').fill(hint);
      await page.getByRole('button', { name: 'Find key' }).click();
      await shoot('support-found');
      server.sql(`insert into key_plane_nodes (id, name, limiter, applied_revision, started_at, renewed_at)
        values (gen_random_uuid(), 'web-2:3001', 'redis', 2, now() - interval '9 days', now() - interval '1.4 s'),
               (gen_random_uuid(), 'web-9:3001', 'redis', 1, now() - interval '2 hours', now() - interval '3 min')`);
      await goto('/nodes');
      server.sql("delete from key_plane_nodes where limiter = 'redis'");
      await shoot('nodes', true);
    }
  }
} finally {
  await browser.close();
  await server.stop();
  await untouched.stop();
}
console.log(`in ${folder}`);
