// The list of keys, with JavaScript and without: everything is in the address, and some keys are revoked at once.
import AxeBuilder from '@axe-core/playwright';
import { expect, islands, row, test } from './fixtures.js';
import { word } from './server.js';

const search = page => page.getByRole('searchbox', { name: 'Search keys' });
const names = page => page.getByRole('rowheader').getByRole('link');
const apply = page => page.getByRole('button', { name: 'Apply' }).click();

/** Somebody in an organization of four keys. */
function four(server) {
  const person = server.person({ org: `list-${word()}` });
  const keys = {};
  for (const name of ['Alpha', 'Beta', 'Gamma']) keys[name] = server.key(person.org, name, '--scope', 'read');
  keys.Delta = server.key(person.org, 'Delta', '--environment', 'test');
  return { person, keys };
}

let person, keys;
test.beforeAll(({ server }) => { ({ person, keys } = four(server)); });

const nameHead = page => page.getByRole('columnheader', { name: 'Name' });

/** By the column's head; on a phone there is none, but the same orders are in a list. */
async function byName(page, order) {
  if (await nameHead(page).isVisible()) return nameHead(page).getByRole('link').click();
  await page.getByLabel('Sort by').selectOption(order);
  await apply(page);
  await page.waitForURL(/sort=/);
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with JavaScript' : 'without JavaScript', () => {
    test('search, filter and sort are in the address: reload and the back button keep them', async ({ open, server }) => {
      const { person } = four(server);
      const page = await open({ as: person, javaScriptEnabled });
      await page.goto('/keys');
      await search(page).fill('ta');
      await apply(page);
      await expect(page).toHaveURL('/keys?q=ta');
      await expect(page.getByText('2 of 4 keys', { exact: true })).toBeVisible();
      await page.getByLabel('Env', { exact: true }).selectOption('test');
      await apply(page);
      await expect(page).toHaveURL('/keys?q=ta&environment=test');
      await expect(names(page)).toHaveText(['Delta']);
      await page.reload();
      await expect(names(page)).toHaveText(['Delta']);
      await expect(page.getByLabel('Env', { exact: true })).toHaveValue('test');
      await page.goBack();
      await expect(page.getByText('2 of 4 keys', { exact: true })).toBeVisible();
      await expect(search(page)).toHaveValue('ta');
      await expect(page.getByLabel('Env', { exact: true })).toHaveValue('');
      await byName(page, 'Name, A to Z');
      await expect(names(page)).toHaveText(['Beta', 'Delta']);
      if (await nameHead(page).isVisible()) await expect(nameHead(page)).toHaveAttribute('aria-sort', 'ascending');
      await byName(page, 'Name, Z to A');
      await expect(names(page)).toHaveText(['Delta', 'Beta']);
      await page.getByRole('link', { name: 'Clear filters' }).click();
      await expect(page).toHaveURL('/keys?sort=-name');
      await expect(page.getByText('4 keys', { exact: true })).toBeVisible();
      await search(page).fill('nothing like it');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('heading', { name: 'No key matches' })).toBeVisible();
    });

    test('a revoked key leaves the list as it was asked for', async ({ open, server }) => {
      server.key(person.org, `Gone ${javaScriptEnabled}`);
      const page = await open({ as: person, javaScriptEnabled });
      await page.goto('/keys?q=gone&sort=name');
      if (javaScriptEnabled) await islands(page);
      await page.getByRole('button', { name: `Revoke Gone ${javaScriptEnabled}` }).click();
      await page.getByRole('button', { name: 'Revoke key' }).click();
      if (javaScriptEnabled) await page.getByRole('button', { name: 'Done' }).click();
      await expect(search(page)).toHaveValue('gone');
      await expect(row(page, `Gone ${javaScriptEnabled}`)).toContainText('Revoked');
    });

    test('some keys: ticked, looked at with their calls, revoked together', async ({ open, server }) => {
      const mark = word();
      const three = ['One', 'Two', 'Three'].map(name => server.key(person.org, `${name} ${mark}`));
      await server.whoami(three[0]);
      const page = await open({ as: person, javaScriptEnabled });
      await server.finds(`select from key_last_used join api_keys k on k.id = key_id where k.name = 'One ${mark}'`);
      await page.goto(`/keys?q=${mark}`);
      await expect(row(page, `One ${mark}`)).not.toContainText('Never');
      await page.getByRole('checkbox', { name: `Select One ${mark}` }).check();
      await page.getByRole('checkbox', { name: `Select Two ${mark}` }).check();
      await page.getByRole('button', { name: 'Revoke selected' }).click();
      await expect(page.getByRole('heading', { level: 1, name: 'Revoke 2 keys?' })).toBeVisible();
      await expect(page.getByRole('row').filter({ hasText: `One ${mark}` }).getByRole('cell').last()).toHaveText('1');
      await expect(page.getByText('1 of 2 was called in the last day')).toBeVisible();
      await page.getByRole('link', { name: 'Cancel' }).click();
      await expect(page).toHaveURL(`/keys?q=${mark}`);
      await page.getByRole('checkbox', { name: 'Select all on this page' }).check();
      if (javaScriptEnabled) await expect(page.getByRole('checkbox', { name: `Select Three ${mark}` })).toBeChecked();
      await page.getByRole('button', { name: 'Revoke selected' }).click();
      await page.getByLabel('Reason').selectOption('superseded');
      await page.getByRole('button', { name: 'Revoke 3 keys' }).click();
      await expect(page.getByRole('status')).toContainText('Revoked 3 keys.');
      await expect(page.getByText('3 of ', { exact: false }).first()).toBeVisible();
      for (const key of three) expect((await server.whoami(key)).body.code).toBe('REVOKED');
      expect((await server.whoami(keys.Alpha)).status, 'nothing else was touched').toBe(200);
    });

    test('what matches a filter: looked at, revoked together, without ticking', async ({ open, server }) => {
      const mark = word();
      const two = ['One', 'Two'].map(name => server.key(person.org, `${name} ${mark}`));
      const page = await open({ as: person, javaScriptEnabled });
      await page.goto('/keys');
      await expect(page.getByRole('link', { name: 'Revoke what matches' })).toHaveCount(0);
      await search(page).fill(mark);
      await search(page).press('Enter');
      await page.getByRole('link', { name: 'Revoke what matches' }).click();
      await expect(page.getByRole('heading', { level: 1, name: 'Revoke 2 keys?' })).toBeVisible();
      await page.getByRole('button', { name: 'Revoke 2 keys' }).click();
      await expect(page.getByRole('status')).toContainText('Revoked 2 keys.');
      for (const key of two) expect((await server.whoami(key)).body.code).toBe('REVOKED');
      expect((await server.whoami(keys.Alpha)).status, 'nothing else was touched').toBe(200);
    });
  });
}

test('nothing ticked: says so, and leads back', async ({ open }) => {
  const page = await open({ as: person });
  await page.goto('/keys?q=Alpha');
  await page.getByRole('button', { name: 'Revoke selected' }).click();
  await expect(page.getByRole('heading', { name: 'No key is selected' })).toBeVisible();
  await page.getByRole('link', { name: 'Back to the list' }).click();
  await expect(page).toHaveURL('/keys?q=Alpha');
});

test('"/" leads to the search, unless somebody is typing', async ({ open }) => {
  const page = await open({ as: person });
  await page.goto('/keys');
  await islands(page);
  await page.keyboard.press('/');
  await expect(search(page)).toBeFocused();
  await page.keyboard.type('a/b');
  await expect(search(page)).toHaveValue('a/b');
  await search(page).blur();
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name', { exact: true }).fill('x');
  await page.keyboard.press('/');
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('x/');
});

test('the file is downloaded as it is filtered', async ({ open }) => {
  const page = await open({ as: person });
  await page.goto('/keys?environment=test');
  const link = await page.getByRole('link', { name: 'Download as CSV' }).getAttribute('href');
  const answer = await page.request.get(link);
  expect(answer.headers()['content-disposition']).toContain('keys.csv');
  const text = await answer.text();
  expect(text).toContain('"Delta"');
  expect(text).not.toContain('"Alpha"');
  for (const key of Object.values(keys)) expect(text).not.toContain(key);
});

for (const width of [1440, 390, 360]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`reads well at ${width} px, ${colorScheme}`, async ({ open }) => {
      const page = await open({ as: person, colorScheme, viewport: { width, height: 844 } });
      for (const path of ['/keys?sort=name&status=active', '/keys?q=nothing+like+it', '/keys/revoke?all=1&status=active']) {
        await page.goto(path);
        const { violations } = await new AxeBuilder({ page }).setLegacyMode()
          .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.target)}`), path).toEqual([]);
        const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        expect(wide, `${path}: nothing sticks out at the side`).toBeLessThanOrEqual(room);
      }
      await page.goto('/keys');
      await page.screenshot({ path: `test-results/keys-list-${width}-${colorScheme}.png` });
    });
  }
}
