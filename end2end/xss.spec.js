// Whatever somebody can type, send or be called is shown as text: no script runs, and nothing but text comes of it.
import { done, expect, islands, ownServer, row, test } from './fixtures.js';

/** Each tells by its number which one ran. At most 80 visible characters, so that a key can be called that. */
const PAYLOADS = [
  '<script>hit(1)</script>',
  '"><script>hit(2)</script>',
  "'><script>hit(3)</script>",
  '</title><script>hit(4)</script>',
  '</textarea><script>hit(5)</script>',
  '</script><script>hit(6)</script>',
  '<img src=x onerror=hit(7)>',
  '"><img src=x onerror="hit(8)">',
  `' onfocus='hit(9)' autofocus x='`,
  '" onfocus="hit(10)" autofocus x="',
  'x onmouseover=hit(11) y=',
  '<svg onload=hit(12)>',
  '<svg><script>hit(13)</script></svg>',
  '<svg><animate onbegin=hit(14) attributeName=x dur=1s>',
  '<math><mtext><img src=x onerror=hit(15)></mtext></math>',
  '<iframe srcdoc="<script>parent.hit(16)</script>">',
  '<iframe src=javascript:parent.hit(17)>',
  'javascript:hit(18)',
  '<a href="javascript:hit(19)">x</a>',
  '<details open ontoggle=hit(20)>',
  '<base href=//evil.example/>',
  '<style>*{background:url(//evil.example/22)}</style>',
  '" style="background:url(//evil.example/23)" x="',
  '<link rel=stylesheet href=//evil.example/24>',
  '<meta http-equiv=refresh content="0;url=javascript:hit(25)">',
  '--><script>hit(26)</script><!--',
  ']]><script>hit(27)</script>',
  "{{constructor.constructor('hit(28)')()}}",
  '${hit(29)}`+hit(29)+`',
  '\\";hit(30);//',
  '{"a":"</script><script>hit(31)</script>"}',
  '&lt;script&gt;hit(32)&lt;/script&gt;',
  '&#60;script&#62;hit(33)&#60;/script&#62;',
  '＜script＞hit(34)＜/script＞',
  '<form action=//evil.example><button formaction=javascript:hit(35)>x',
  '<template><script>hit(36)</script></template>',
  '<noscript><p title="</noscript><img src=x onerror=hit(37)>">',
  '%3Cscript%3Ehit(38)%3C/script%3E',
  '<leptos-island data-component="FormDialog_1"></leptos-island>',
  '<!--hk=0-0-0-1--><!></p></dialog><script>hit(40)</script>',
];
/** Where one at a time would take long: both quotes, every element that ends early, and a tag. */
const ALL = `'">--></title></textarea></script><img src=x onerror=hit(99)>`;
/** Of those that headers can hold. */
const ASCII = PAYLOADS.filter(payload => /^[ -~]+$/.test(payload));
const ORG = '"><img src=x onerror="hit(50)">';
const PERSON = `</title><svg onload=hit(51)>'"`;
const SERVICE = `<script>hit(52)</script>" onfocus="hit(53)`;

/** What came of a page besides text. Of the elements here the console uses none, and no attribute runs anything. */
const grown = page => page.evaluate(() => {
  const found = [];
  const foreign = 'base, iframe, object, embed, img, style, math, template:not([data-for]), noscript, animate, mtext, meta[http-equiv]';
  // What the console's own templates hold counts as well.
  const all = selector => [document, ...[...document.querySelectorAll('template')].map(template => template.content)]
    .flatMap(root => [...root.querySelectorAll(selector)]);
  for (const element of all(foreign)) found.push(element.outerHTML);
  for (const script of document.scripts) {
    if (!script.nonce && !new URL(script.src, location).pathname.startsWith('/pkg/')) found.push(script.outerHTML);
  }
  for (const element of all('*')) {
    for (const { name, value } of element.attributes) {
      const runs = /^on|^style$|^srcdoc$|^formaction$/.test(name);
      const leads = /^(href|src|action|xlink:href)$/.test(name) && new URL(value, location).origin !== location.origin;
      if (runs || leads) found.push(`${element.localName} ${name}=${value}`);
    }
  }
  return found;
});

/** Opens pages in which every script that should not run is noticed; what breaks the policy, the fixture notices. */
async function watched(open, options) {
  const page = await open(options);
  page.ran = [];
  page.on('dialog', dialog => { page.ran.push(dialog.message()); dialog.dismiss(); });
  await page.exposeFunction('hit', number => { page.ran.push(number); });
  return page;
}

/** That nothing came of the page but text, and that all of `texts` is in it, letter for letter. */
async function inert(page, where, ...texts) {
  expect(await grown(page), where).toEqual([]);
  expect(page.ran, `${where}: scripts that ran`).toEqual([]);
  const shown = await page.evaluate(() => document.title + '\n' + document.body.textContent + '\n'
    + [...document.querySelectorAll('input, textarea')].map(field => field.value).join('\n'));
  for (const text of texts) expect(shown, where).toContain(text);
}

const own = ownServer('xss');
const dialog = page => page.getByRole('dialog');

test('the set-up page shows again what was typed', async ({ open }) => {
  const page = await watched(open, { server: own.server });
  await page.goto(own.server.link);
  await page.getByLabel('Organization').fill(ALL + 'x'.repeat(80));
  await page.getByLabel('Your name').fill(PERSON + 'x'.repeat(80));
  await page.getByLabel('Email').fill(ALL);
  await page.getByRole('button', { name: 'Create organization' }).click();
  await expect(page.getByLabel('Email')).toHaveAttribute('aria-invalid', 'true');
  await inert(page, 'set-up', ALL + 'x'.repeat(80), PERSON + 'x'.repeat(80), ALL);
});

test.describe('where everything is called that', () => {
  let owner, support, keys;

  test.beforeAll(async () => {
    const { server } = own;
    owner = { email: 'xss@people.example', password: 'wide brown cows sing at noon' };
    const token = new URL(server.link).searchParams.get('token');
    const made = await server.send('setup', { token, organization: ORG, name: PERSON, ...owner }, { accept: 'text/html' });
    expect(made.status).toBe(303);
    support = server.person({ staff: 'support', name: PERSON });
    const cookie = await server.session(owner);
    // Sessions are listed by what their browsers say they are.
    for (const agent of ASCII.slice(0, 8)) await server.send('sign-in', { ...owner, next: '' }, { accept: 'text/html', 'user-agent': agent });
    const slug = server.sql('select slug from orgs').trim();
    // One as people are added; the others would take a command each.
    server.person({ org: slug, role: 'viewer', name: PAYLOADS[0] });
    server.sql(`with people as (
        insert into users (id, email, name, password_hash, created_at)
          select gen_random_uuid(), n || '@xss.example', name, 'x', now()
          from jsonb_array_elements_text($json$${JSON.stringify(PAYLOADS.slice(1))}$json$) with ordinality as t(name, n)
          returning id)
      insert into members select o.id, p.id, 'viewer', now() from people p, orgs o`);
    const service = server.run(['service-key', 'create', '--name', SERVICE, '--capability', 'verify']);
    keys = [];
    for (const [index, name] of PAYLOADS.entries()) {
      const form = { idempotency_key: crypto.randomUUID(), name, environment: 'live', tier: 'standard', expires: 'never' };
      const key = await (await server.send('keys/issue', form, { cookie })).json();
      expect(key.name).toBe(name);
      keys.push(key);
      // Used by what calls itself that, through a service that is called that, for a scope and a namespace of that name.
      const agent = ASCII[index % ASCII.length];
      await server.ask('/v1/keys/verify', {
        method: 'POST', body: JSON.stringify({ key: key.secret, scopes: [name], namespace: name }),
        headers: { authorization: `Bearer ${service}`, 'content-type': 'application/json', 'user-agent': agent },
      });
      await server.ask('/v1/forward-auth', {
        headers: { 'x-api-key': key.secret, 'x-forwarded-method': agent, 'x-forwarded-uri': agent, 'user-agent': agent },
      });
      await server.ask('/v1/keys/verify', {
        method: 'POST', body: JSON.stringify({ key: key.secret }),
        headers: { authorization: `Bearer ${service}`, 'content-type': 'application/json', 'user-agent': agent },
      });
    }
    await server.finds(`select from key_last_used having count(*) = ${PAYLOADS.length}`);
  });

  for (const javaScriptEnabled of [true, false]) {
    const mode = javaScriptEnabled ? 'with JavaScript' : 'without JavaScript';

    test(`every page of the organization, ${mode}`, async ({ open }) => {
      const page = await watched(open, { server: own.server, as: owner, javaScriptEnabled });
      await page.goto('/keys');
      if (javaScriptEnabled) await islands(page);
      const names = await page.getByRole('rowheader').getByRole('link').allTextContents();
      expect(names.toSorted()).toEqual(PAYLOADS.toSorted());
      await inert(page, '/keys', ...PAYLOADS, ...ASCII, ORG, PERSON, `via ${SERVICE}`);
      for (const [path, ...texts] of [
        ['/keys/revoke?all=1', ...PAYLOADS],
        ['/keys?revoke-all=1', ORG],
        ['/audit', ...PAYLOADS.map(name => `“${name}”`).slice(-20), PERSON],
        ['/members', ...PAYLOADS],
        ['/settings', ...ASCII.slice(0, 8).map(agent => agent.slice(0, 40)), ORG],
        ['/webhooks', ORG],
      ]) {
        await page.goto(path);
        if (javaScriptEnabled) await page.waitForLoadState('networkidle');
        await inert(page, path, ...texts);
      }
      await page.goto('/members');
      await page.getByRole('link', { name: `Manage ${PAYLOADS[8]}` }).click();
      await inert(page, 'a member', PAYLOADS[8]);
    });

    test(`the addresses of pages, ${mode}`, async ({ open }) => {
      const page = await watched(open, { server: own.server, as: owner, javaScriptEnabled });
      // A page with islands takes its time, and the server draws the same for it.
      for (const payload of javaScriptEnabled ? [PAYLOADS[9], ALL] : [...PAYLOADS.slice(0, 14), ALL]) {
        const q = encodeURIComponent(payload);
        await page.goto(`/keys?q=${q}`);
        await expect(page.getByRole('searchbox')).toHaveValue(payload);
        await inert(page, `searching for ${payload}`);
      }
      const all = encodeURIComponent(ALL);
      const one = `/keys/${keys[0].id}`;
      const paths = [
        `${one}?usage=${all}&request=${all}`, `/keys?revoke=${all}`, `/keys/revoke?key=${all}&q=${all}`, `/${all}`,
        `/keys?environment=${all}&tier=${all}&status=${all}&scope=${all}&creator=${all}&unused=${all}&sort=${all}&page=${all}`,
        `/keys?new=${all}&revoke-all=${all}`, `/keys?${all}=${all}`, `/keys/${all}?edit=1`, `${one}?edit=${all}&finish=${all}`,
        `${one}?rotate=${all}`, `/members?manage=${all}`, `/settings?done=${all}`,
        `/audit?before=${all}`, `/webhooks?environment=${all}&regenerate=${all}`, `/setup?token=${all}`,
      ];
      for (const path of javaScriptEnabled ? paths.slice(0, 4) : paths) {
        await page.goto(path);
        await inert(page, path, ...(path.includes('request=') ? [ALL] : []));
      }
      const stranger = await watched(open, { server: own.server, javaScriptEnabled });
      for (const next of [ALL, 'javascript:hit(60)']) {
        await stranger.goto(`/sign-in?next=${encodeURIComponent(next)}&done=${all}`);
        await stranger.getByLabel('Email').fill(ALL);
        await stranger.getByLabel('Password').fill(ALL);
        await stranger.getByRole('button', { name: 'Sign in' }).click();
        await expect(stranger.getByRole('alert')).toContainText('wrong');
        await inert(stranger, `signing in, on the way to ${next}`, ALL);
      }
    });
  }

  test('every key’s own page, with how it was used and refused', async ({ open }) => {
    const page = await watched(open, { server: own.server, as: owner, javaScriptEnabled: false });
    // `</title>` and both quotes are among them.
    for (const [index, { id, name }] of keys.slice(0, 12).entries()) {
      await page.goto(`/keys/${id}`);
      await expect(page).toHaveTitle(`${name} · Keydesk`);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(name);
      const agent = ASCII[index % ASCII.length];
      await inert(page, name, `${agent} · via ${SERVICE}`, `namespace ${name}`, `scope ${name}`, `via ${SERVICE}`, `Created key “${name}”`);
    }
  });

  test('dialogs that are filled in for the key whose button was pressed', async ({ open }) => {
    const page = await watched(open, { server: own.server, as: owner });
    await page.goto('/keys');
    await islands(page);
    // As somebody would click through them, without the time between.
    const asked = await page.getByRole('row').getByRole('button', { name: /^Revoke / }).evaluateAll(async buttons => {
      const said = [];
      for (const button of buttons) {
        button.click();
        await new Promise(requestAnimationFrame);
        const open = document.querySelector('dialog:modal');
        said.push(open.querySelector('h2').textContent);
        open.close();
      }
      return said;
    });
    expect(asked.toSorted()).toEqual(PAYLOADS.map(name => `Revoke “${name}”?`).toSorted());
    await row(page, PAYLOADS[7]).getByRole('button').click();
    await inert(page, 'the revoke dialog', `via ${SERVICE}`);
    for (const { id, name } of [keys[4], keys[8]]) {
      await page.goto(`/keys/${id}`);
      await islands(page);
      for (const [button, heading] of [['Edit', 'Edit key'], ['Rotate', `Rotate “${name}”?`], [`Revoke ${name}`, `Revoke “${name}”?`]]) {
        await page.getByRole('button', { name: button, exact: true }).click();
        await expect(dialog(page).getByRole('heading')).toHaveText(heading);
        await inert(page, `${button} ${name}`, name);
        await page.keyboard.press('Escape');
      }
    }
  });

  for (const javaScriptEnabled of [true, false]) {
    test(`what is refused is shown as it was typed, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async ({ open }) => {
      const { server } = own;
      const page = await watched(open, { server, as: owner, javaScriptEnabled });
      const turn = async path => {
        await page.goto(path);
        if (javaScriptEnabled) await islands(page);
      };
      const key = keys[0];
      await turn(`/keys/${key.id}${javaScriptEnabled ? '' : '?edit=1'}`);
      if (javaScriptEnabled) await page.getByRole('button', { name: 'Edit', exact: true }).click();
      const addresses = page.getByLabel('Addresses');
      for (const payload of [PAYLOADS[4], PAYLOADS[8], PAYLOADS[9], PAYLOADS[30], PAYLOADS[31], ALL]) {
        await page.getByLabel('Name', { exact: true }).fill(payload);
        await addresses.fill(payload);
        await page.getByLabel('Namespaces').fill(payload);
        await page.getByRole('button', { name: 'Save changes' }).click();
        await expect(addresses).toHaveAccessibleDescription(/is no address or block/);
        const typed = await page.locator('#addresses, #namespaces, #name').evaluateAll(fields => fields.map(field => field.value));
        expect(typed).toEqual([payload, payload, payload]);
        // Quoted as programs quote: the first of what spaces divide.
        const quoted = payload.split(' ')[0].replaceAll('\\', '\\\\').replaceAll('"', '\\"');
        await expect(page.locator('#addresses-note')).toContainText(`"${quoted}" is no address`);
      }
      await addresses.fill(PAYLOADS.join('\n'));
      await page.getByRole('button', { name: 'Save changes' }).click();
      await expect(addresses).toHaveValue(PAYLOADS.join('\n'));
      await inert(page, 'the edit form');

      await turn(javaScriptEnabled ? '/keys' : '/keys?new=1');
      if (javaScriptEnabled) await page.getByRole('button', { name: 'Create key' }).click();
      const long = ALL + 'x'.repeat(80);
      await page.getByLabel('Name', { exact: true }).fill(long);
      await page.getByRole('button', { name: 'Create', exact: true }).click();
      await expect(page.getByLabel('Name', { exact: true })).toHaveAttribute('aria-invalid', 'true');
      await inert(page, 'the create form', long);

      await turn(javaScriptEnabled ? '/keys' : '/keys?revoke-all=1');
      if (javaScriptEnabled) await page.getByRole('button', { name: 'Revoke all keys' }).click();
      const confirmation = dialog(page).getByRole('textbox');
      await confirmation.fill(ALL);
      await page.getByRole('button', { name: /^Revoke \d+ keys$/ }).click();
      await expect(confirmation).toHaveAccessibleDescription(`Type the organization's name, ${ORG}, exactly.`);
      await inert(page, 'whether to revoke all', ALL, ORG);
    });
  }

  test('forms that say where they were sent from lead nowhere else, and what they are refused with is text', async ({ open }) => {
    const page = await watched(open, { server: own.server, as: owner, javaScriptEnabled: false });
    const key_id = keys[0].id;
    await page.goto('/settings');
    const leads = ['javascript:hit(70)', `/keys/${ALL}`, `/keys?q=${ALL}`];
    const values = Object.fromEntries(['key_id', 'reason', 'window', 'user_id', 'role', 'environment', 'session_id', 'idempotency_key', 'version']
      .map(name => [name, ALL]));
    const forms = ['keys/revoke', 'keys/revoke-some', 'keys/edit', 'keys/rotate', 'keys/finish', 'keys/extend', 'keys/disable',
      'members/role', 'members/remove', 'webhooks/generate', 'webhooks/regenerate', 'sessions/end', 'account/password', encodeURIComponent(ALL)];
    for (const name of forms) {
      for (const back of name.startsWith('keys/') ? leads : [ALL]) {
        const form = { ...values, key_id, back, name: ALL, 'key_ids[0]': key_id, namespaces: ALL, addresses: ALL, expires: ALL };
        // As a browser would send it: the answer is a page.
        await Promise.all([page.waitForNavigation(), page.evaluate(([name, form]) => {
          const element = document.body.appendChild(document.createElement('form'));
          Object.assign(element, { method: 'post', action: `/console/fn/${name}` });
          for (const [name, value] of Object.entries(form)) {
            Object.assign(element.appendChild(document.createElement('input')), { type: 'hidden', name, value });
          }
          element.submit();
        }, [name, form])]);
        await inert(page, `${name}, back to ${back}`);
      }
    }
  });

  for (const javaScriptEnabled of [true, false]) {
    test(`the support desk and the nodes, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async ({ open }) => {
      const { server } = own;
      const page = await watched(open, { server, as: support, javaScriptEnabled });
      const find = async text => {
        const field = page.getByLabel('Key hint or digest');
        await field.fill(text);
        await page.getByRole('button', { name: 'Find key' }).click();
        // What is no hint does not leave the browser.
        if (javaScriptEnabled && !text.includes('…')) return expect(field).toHaveAttribute('aria-invalid', 'true');
        await page.waitForURL('**/console/fn/support/find');
        await page.waitForLoadState(javaScriptEnabled ? 'networkidle' : 'load');
      };
      server.sql(`insert into key_plane_nodes (id, name, limiter, applied_revision, started_at, renewed_at)
        values (gen_random_uuid(), $$${ALL}$$, 'memory', 0, now(), now())`);
      for (const path of ['/nodes', `/support?revoke=${encodeURIComponent(ALL)}`, '/settings']) {
        await page.goto(path);
        await inert(page, path, PERSON, ...(path === '/nodes' ? [ALL] : []));
      }
      await page.goto('/support');
      await find(ALL);
      await inert(page, 'not a hint', ALL);
      await find(`${PAYLOADS[7]}…`);
      await inert(page, 'no such key', `${PAYLOADS[7]}…`);
      // One for each of the two, since it is revoked.
      const key = keys[javaScriptEnabled ? 7 : 8];
      await find(key.hint);
      await inert(page, 'a found key', key.name, ORG, PERSON, `via ${SERVICE}`);
      if (javaScriptEnabled) await islands(page);
      await page.getByRole('button', { name: `Revoke ${key.name}`, exact: true }).click();
      await expect(page.getByRole('heading', { name: `Revoke “${key.name}”?` })).toBeVisible();
      await page.getByLabel('Ticket').fill(ALL + 'x'.repeat(80));
      await page.getByRole('button', { name: 'Revoke key' }).click();
      await expect(page.getByLabel('Ticket')).toHaveAttribute('aria-invalid', 'true');
      await inert(page, 'a ticket that is refused', ALL + 'x'.repeat(80));
      await page.getByLabel('Ticket').fill(ALL);
      await page.getByRole('button', { name: 'Revoke key' }).click();
      await expect(page.getByText(`Revoked “${key.name}”.`)).toBeVisible();
      await inert(page, 'revoked', `Revoked “${key.name}”.`);
      const theirs = await watched(open, { server, as: owner, javaScriptEnabled });
      await theirs.goto('/audit');
      await inert(theirs, 'a ticket in the audit log', ALL);
    });
  }

  test('files and answers that repeat them are no pages', async ({ open }) => {
    const { server } = own;
    const page = await watched(open, { server, as: owner });
    const all = encodeURIComponent(ALL);
    for (const [path, type] of [['/keys.csv', 'text/csv'], ['/audit/export', 'application/jsonl'], ['/api/v1/keys', 'application/problem+json']]) {
      const answer = await page.request.get(`${path}?q=${all}`);
      expect(answer.headers()['content-type'], path).toContain(type);
      expect(answer.headers()['x-content-type-options'], path).toBe('nosniff');
    }
    for (const path of [`/v1/${all}`, `/v1/whoami?${all}`, `/v1/forward-auth?${all}=1`]) {
      const answer = await fetch(`${server.keys}${path}`, { headers: { 'x-api-key': keys[0].secret } });
      expect(answer.headers.get('content-type'), path).toMatch(/^application\/(problem\+)?json$/);
      expect(answer.headers.get('x-content-type-options'), path).toBe('nosniff');
      expect(answer.headers.get('x-request-id'), path).toMatch(/^[0-9a-f-]{36}$/);
    }
    // An id that a client makes up is not repeated.
    const answer = await fetch(`${server.keys}/v1/whoami`, { headers: { 'x-request-id': ASCII[0] } });
    expect(await answer.text() + answer.headers.get('x-request-id')).not.toContain('script');
  });

  test('last: issued, shown and revoked all by the name of the organization', async ({ open }) => {
    const { server } = own;
    const page = await watched(open, { server, as: owner });
    await page.goto('/keys');
    await islands(page);
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByLabel('Name', { exact: true }).fill(ALL);
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await expect(dialog(page).getByRole('heading', { name: 'is ready' })).toHaveText(`“${ALL}” is ready`);
    await inert(page, 'a key that is ready');
    await done(page);
    await row(page, ALL).getByRole('button').click();
    await page.getByRole('button', { name: 'Revoke key' }).click();
    await expect(dialog(page).getByRole('heading')).toHaveText(`Revoked “${ALL}”.`);
    await inert(page, 'a receipt');
    await done(page);
    await islands(page);
    await page.getByRole('button', { name: 'Revoke all keys' }).click();
    await dialog(page).getByRole('textbox').fill(ORG);
    await page.getByRole('button', { name: /^Revoke \d+ keys$/ }).click();
    await expect(dialog(page).getByRole('heading', { name: /^Revoked \d+ keys/ })).toBeVisible();
    await inert(page, 'all revoked');
  });
});
