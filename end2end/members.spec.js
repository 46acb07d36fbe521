// An owner changes what somebody may do, and ends their membership.
import { expect, test } from './fixtures.js';

for (const javaScriptEnabled of [true, false]) {
  test(`a role changes and a membership ends, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async ({ open, server }) => {
    const org = `people-${crypto.randomUUID().slice(0, 8)}`;
    const owner = server.person({ org, name: 'Olga Owner' });
    const grace = server.person({ org, name: 'Grace Hopper', role: 'viewer' });
    const page = await open({ as: owner, javaScriptEnabled });
    await page.goto('/members');
    await expect(page.getByRole('link', { name: 'Manage Olga Owner' })).toHaveCount(0);
    await page.getByRole('link', { name: 'Manage Grace Hopper' }).click();
    await page.getByLabel('Role').selectOption('developer');
    await page.getByRole('button', { name: 'Change role' }).click();
    const status = page.getByRole('status');
    await expect(status).toContainText('The role of Grace Hopper is developer now.');
    await expect(status).toContainText('Effective on');
    await expect(page.getByRole('row', { name: /Grace Hopper/ })).toContainText('Developer');
    const theirs = await open({ as: grace, javaScriptEnabled });
    await theirs.goto('/keys');
    await expect(theirs.getByRole('button', { name: 'Create key' }).first()).toBeVisible();

    await page.getByRole('link', { name: 'Manage Grace Hopper' }).click();
    await page.getByRole('button', { name: 'Remove Grace Hopper' }).click();
    await expect(status).toContainText('Grace Hopper is no longer a member.');
    await expect(page.getByRole('row', { name: /Grace Hopper/ })).toHaveCount(0);
    await theirs.goto('/keys');
    await expect(theirs).toHaveURL(/sign-in/);
  });
}
