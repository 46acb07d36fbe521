// What every page does: it says what was done, its times stay true, and it looks as its reader likes it.
import { createKey, expect, islands, row, test } from './fixtures.js';
import { word } from './server.js';

test('what was done is said to screen readers, moves nothing, and can be dismissed', async ({ open, server }) => {
  const person = server.person({ org: `shell-${word()}` });
  server.key(person.org, 'Switched');
  const page = await open({ as: person });
  await page.goto('/keys');
  await row(page, 'Switched').getByRole('link').first().click();
  const place = () => page.getByRole('heading', { level: 1 }).boundingBox();
  const before = await place();
  // A status that was full when the page came is passed over: it has to fill while somebody listens.
  await page.addInitScript(() => {
    window.filled = [];
    new MutationObserver(changes => {
      for (const change of changes) {
        const status = change.target.closest?.('[role=status]');
        if (status && change.addedNodes.length && document.readyState !== 'loading') window.filled.push(status.textContent);
      }
    }).observe(document, { childList: true, subtree: true });
  });
  await page.getByRole('button', { name: 'Disable' }).click();
  const said = page.getByRole('status').filter({ hasText: 'Disabled “Switched”' });
  await expect(said).toBeInViewport();
  await expect.poll(() => page.evaluate(() => window.filled.join())).toContain('Disabled “Switched”');
  expect(await place()).toEqual(before);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await expect(said).toHaveCount(0);
});

test('relative times stay true while a page is open, by the server’s clock and in its words', async ({ open, server }) => {
  const person = server.person({ org: `shell-${word()}` });
  server.key(person.org, 'Aging');
  const page = await open({ as: person });
  server.sql(`update api_keys set created_at = now(), expires_at = now() + interval '61 days'
              where name = 'Aging' and org_id = (select id from orgs where slug = '${person.org}')`);
  // This machine's clock is wrong by a year, and stands still unless it is moved; the server's counts.
  const wrong = Date.now() - 365 * 86_400_000;
  await page.clock.install({ time: wrong });
  await page.clock.pauseAt(wrong + 1_000);
  const answer = await page.goto('/keys');
  // The browser half arrives in a moment of rest, which needs a clock.
  const alive = async () => {
    await page.clock.runFor(20);
    return page.evaluate(() => 'alive' in document.documentElement.dataset);
  };
  await expect.poll(alive).toBe(true);
  const [made, ends] = ['Created', 'Expires'].map(label => row(page, 'Aging').locator(`[data-label=${label}] time`));
  await expect(made).toHaveText(/just now|\d+ minutes? ago/);
  await expect(ends).toHaveText('in 2 months');
  const created = Date.parse(await made.getAttribute('datetime'));
  let age = (Date.parse(answer.headers().date) - created) / 1_000;
  for (const [seconds, madeWords, endsWords] of [
    [5.5 * 60, '5 minutes ago', 'in 2 months'],
    [65 * 60, '1 hour ago', 'in 2 months'],
    [50 * 3_600, '2 days ago', 'in 58 days'],
  ]) {
    await page.clock.runFor((seconds - age) * 1_000);
    age = seconds;
    await expect(made).toHaveText(madeWords);
    await expect(ends).toHaveText(endsWords);
  }
});

test.describe('appearance', () => {
  const ground = page => page.evaluate(() => getComputedStyle(document.body.parentElement).backgroundColor);

  for (const javaScriptEnabled of [true, false]) {
    test(`chosen in the settings, ${javaScriptEnabled ? 'with' : 'without'} JavaScript: kept by this browser, whatever its system says`, async ({ open, server }) => {
      const person = server.person({ org: `shell-${word()}` });
      server.key(person.org, 'Seen');
      const page = await open({ as: person, javaScriptEnabled, colorScheme: 'light' });
      await page.goto('/keys');
      const light = await ground(page);
      const tall = (await row(page, 'Seen').boundingBox()).height;
      await page.goto('/settings');
      await page.getByLabel('Colours').selectOption('Dark');
      await page.getByLabel('Density').selectOption('Compact');
      await page.getByRole('button', { name: 'Save appearance' }).click();
      await expect(page.getByRole('status')).toContainText('This browser remembers');
      await expect(page.getByLabel('Colours')).toHaveValue('dark');
      await page.goto('/keys');
      const dark = await ground(page);
      expect(dark).not.toBe(light);
      expect((await row(page, 'Seen').boundingBox()).height).toBeLessThan(tall);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      expect(await ground(page), 'also signed out').toBe(dark);
    });
  }
});
