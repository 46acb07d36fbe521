// The console under each preset: its brand, what a key can be, and examples that work, with JavaScript and without.
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { createKey, expect, islands, ownServer, signIn, test } from './fixtures.js';

const PRESETS = [
  { preset: 'heso', brand: 'HESO', environments: ['live', 'test'], tiers: ['standard'], scopes: 4, begins: 'heso_live_', variable: 'HESO_API_KEY', setting: 'HESO_ENDPOINT' },
  { preset: 'heir', brand: 'HEIR', environments: ['production'], tiers: ['public', 'partner', 'internal'], scopes: 5, begins: 'heir_pk_', variable: 'HEIR_API_KEY' },
  { preset: 'holonomix', brand: 'HolonomiX', environments: ['live'], tiers: ['standard'], scopes: 0, begins: 'hx_live_', variable: 'HX_API_KEY' },
  { preset: 'helios', brand: 'Helios', environments: ['development', 'staging', 'production'], tiers: ['standard'], scopes: 0, begins: 'helios_dev_', variable: 'HELIOS_API_KEY' },
  { preset: 'heffl', brand: 'Heffl', environments: ['production', 'staging', 'development'], tiers: ['standard'], scopes: 0, begins: 'heffl_live_', variable: 'HEFFL_API_KEY' },
];

const LANGUAGES = ['curl', 'Python', 'TypeScript', 'Go'];
const values = select => select.locator('option').evaluateAll(options => options.map(option => option.value));
const example = (page, language) => page.getByRole('textbox', { name: `${language} example` });

for (const { preset, brand, environments, tiers, scopes, begins, variable, setting } of PRESETS) {
  test.describe(preset, () => {
    const own = ownServer(`preset-${preset}`, { catalog: preset });

    test('the console wears it, and a new key comes with its examples', async ({ open }) => {
      const { server } = own;
      const person = server.person({ org: 'acme' });
      const page = await open({ server });
      await page.goto('/sign-in');
      await expect(page).toHaveTitle(`Sign in · ${brand}`);
      await expect(page.getByRole('heading', { name: `Sign in to ${brand}` })).toBeVisible();
      await signIn(page, person);
      await expect(page.getByRole('banner')).toContainText(brand);
      await islands(page);
      await page.getByRole('button', { name: 'Create key' }).click();
      expect(await values(page.getByLabel('Environment'))).toEqual(environments);
      expect(await values(page.getByLabel('Tier'))).toEqual(tiers);
      await expect(page.getByRole('group', { name: 'Scopes' })).toHaveCount(scopes ? 1 : 0);
      await expect(page.getByRole('checkbox')).toHaveCount(scopes);
      await page.keyboard.press('Escape');

      const key = await createKey(page, 'Server');
      expect(key.slice(0, begins.length)).toBe(begins);
      expect((await server.whoami(key)).status).toBe(200);
      await expect(page.getByLabel('For your .env file')).toHaveValue(`${variable}=${key}`);
      const examples = page.getByRole('group', { name: 'In your program' });
      await expect(example(page, 'curl')).toBeVisible();
      await expect(examples.getByRole('textbox')).toHaveCount(1);
      await examples.getByRole('radio', { name: 'curl' }).focus();
      const seen = new Map();
      for (const language of LANGUAGES) {
        await expect(examples.getByRole('radio', { name: language })).toBeFocused();
        await expect(example(page, language)).toBeVisible();
        await expect(examples.getByRole('textbox')).toHaveCount(1);
        const code = await example(page, language).inputValue();
        expect(code).toContain(variable);
        expect(code, 'it reads the key from the environment').not.toContain(key);
        seen.set(language, code);
        await page.keyboard.press('ArrowRight');
      }
      await page.getByRole('button', { name: 'Done' }).click();
      await expect(page.getByRole('row').filter({ hasText: 'Server' })).toBeVisible();
      expect(await page.content()).not.toContain(key);

      const plain = await open({ server, javaScriptEnabled: false });
      await signIn(plain, person);
      await plain.goto('/keys?new=1');
      await plain.getByLabel('Name', { exact: true }).fill('By form');
      await plain.getByRole('button', { name: 'Create', exact: true }).click();
      for (const language of LANGUAGES) {
        await plain.getByText(language, { exact: true }).click();
        await expect(example(plain, language)).toBeVisible();
        await expect(example(plain, language)).toHaveValue(seen.get(language));
      }
      if (setting) await works(seen, variable, setting, key);
    });
  });
}

/** Runs the examples that need nothing but what is here, against a host that says what it was sent. */
async function works(examples, variable, setting, key) {
  const host = createServer((request, response) => response.end(`${request.url} ${request.headers['x-api-key']}`));
  await new Promise(ready => host.listen(0, '127.0.0.1', ready));
  try {
    const env = { ...process.env, [variable]: key, [setting]: `http://127.0.0.1:${host.address().port}` };
    for (const [language, program, args] of [
      ['curl', 'sh', code => ['-c', code.replace('curl ', 'curl -s ')]],
      ['TypeScript', process.execPath, code => ['--input-type=module', '-e', code]],
    ]) {
      const ran = await promisify(execFile)(program, args(examples.get(language)), { env });
      expect(ran.stdout, language).toContain(`/v1/policy/pull ${key}`);
    }
  } finally {
    host.close();
  }
}
