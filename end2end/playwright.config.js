import { defineConfig } from '@playwright/test';

const here = import.meta.dirname;
const chromium = process.env.KEYDESK_CHROMIUM || '/usr/bin/chromium';

export default defineConfig({
  testDir: here,
  testMatch: '**/*.spec.js',
  outputDir: 'test-results/artifacts',
  // Starts the server on a database of its own, once for all specs.
  globalSetup: `${here}/global-setup.js`,
  // While one waits for its server, the other's browser works.
  workers: 2,
  // What passes at the second try only is not right.
  retries: 0,
  forbidOnly: !!process.env.CI,
  // Ceilings for what does not happen at all: no test depends on how long a step takes.
  timeout: 180_000,
  expect: { timeout: 30_000 },
  // What people do with keys they also do on a phone, in the dark. Without JavaScript it is the same page again.
  projects: [
    { name: 'desk', use: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' } },
    {
      name: 'phone', use: { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
      testMatch: /(create|key-page|keys|keys-list|members|shell|support)\.spec\.js/, grepInvert: /without JavaScript|, \d+ px|at \d+ px/,
    },
  ],
  reporter: [['list'], ['json', { outputFile: 'test-results/results.json' }]],
  use: {
    browserName: 'chromium',
    // Nothing to wait for: colours that fade in are measured half-way otherwise.
    contextOptions: { reducedMotion: 'reduce' },
    // Recording every page takes a third of the time; say --trace=retain-on-failure to have it.
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      // Debian's browser: Playwright's own download is not to be had everywhere.
      executablePath: chromium,
      args: [
        '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
      ],
    },
  },
});
