// npm vercel, the CLI, unmodified: where somebody has to connect or to install first it makes up a link and waits. The link is
// opened at this server, in a real browser, by a person with a key.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { app } from './lib/app.mjs';
import { contrast, DESKTOP, launch, PHONE, screenshot } from './lib/browser.mjs';
import { Grantry } from './lib/grantry.mjs';
import { until } from './lib/process.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { VercelCli } from './lib/vercel-cli.mjs';
import { KEYS, TEAM, world } from './lib/world.mjs';

const VERCEL = 'https://vercel.com/';
let server, sandbox, browser, relay;
/** How often the CLI has asked for its result, since the last test. */
let polls = 0;

before(async () => {
  [server, sandbox, browser] = await Promise.all([Grantry.start(), Sandbox.start({ accessTtl: 600 }), launch()]);
  const row = (id, data) => ({
    id: `scl_${id}`, uid: `sandbox/${id}`, team: TEAM, name: `The ${id}`, type: 'oauth', service: 'sandbox',
    data: { clientId: DEMO.id, clientSecret: DEMO.secret, ...data },
  });
  await server.apply(
    world({
      services: [
        {
          id: 'sandbox', name: 'Sandbox', kind: 'oauth2', issuer: sandbox.url,
          authorization_endpoint: `${sandbox.url}/authorize`,
          token_endpoint: `${sandbox.url}/token`,
          revocation_endpoint: `${sandbox.url}/revoke`,
        },
      ],
      connectors: [
        row('crm'),
        row('no'),
        row('later'),
        row('bot', { installation: { enabled: true, id: '/team/id', name: '/team/name', params: { workspace: 'T1' } } }),
      ],
    }),
  );
  relay = await app(async (request) => {
    const { pathname, search } = new URL(request.url);
    if (pathname.startsWith('/v1/connect/result/')) polls++;
    const body = request.body ? await request.text() : undefined;
    return fetch(server.url + pathname + search, { method: request.method, headers: request.headers, body });
  });
});
after(async () => {
  await browser?.close();
  relay?.stop();
  await Promise.all([server, sandbox].map((one) => one?.stop()));
});

const as = (token) => new VercelCli({ url: relay.url, token, scope: TEAM });

/** The CLI's link, at this server. */
function here(address, verb) {
  assert.ok(address.startsWith(`${VERCEL}api/v1/connect/${verb}/`), address);
  return address.replace(VERCEL, `${server.url}/`);
}

/** A browser of its own at `url`; what it complains of, and every address that it asks for. */
async function visit(url, settings) {
  const context = await browser.newContext({ viewport: DESKTOP, javaScriptEnabled: false, ...settings });
  const page = await context.newPage();
  const complaints = [];
  const addresses = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('request', (request) => addresses.push(request.url()));
  const answer = await page.goto(url);
  return { page, answer, complaints, addresses, close: () => context.close() };
}

/** Enters a key; the answer. */
async function enter(page, key) {
  const posted = page.waitForResponse((answer) => answer.request().method() === 'POST');
  await page.getByLabel('Your API key').fill(key);
  await page.getByRole('button', { name: 'Continue' }).click();
  const answer = await posted;
  await page.waitForLoadState();
  return answer.status();
}

const heading = (page) => page.locator('h1').innerText();

describe('vercel connect token', () => {
  let used;

  it('waits for whoever opens its link, however long they need, and prints their token', async () => {
    polls = 0;
    const asked = as(KEYS.admin).begin('token', 'sandbox/crm', '--yes');
    used = here(await asked.address, 'authorize');
    // At the fourth 404 it would give up.
    await until(() => polls > 4, 'the CLI asks for its result', 30);
    const { page, complaints, addresses, close } = await visit(used);
    const text = await page.locator('main').innerText();
    for (const said of ['Connect an account', 'sandbox/crm', TEAM, '127.0.0.1']) assert.ok(text.includes(said), `${said}: ${text}`);
    for (const wrong of ['tok_nobody', KEYS.stranger]) {
      assert.equal(await enter(page, wrong), 401);
      assert.match(await page.locator('#key-problem').innerText(), /not known here, or is not one of the team/);
      assert.equal(await page.getByLabel('Your API key').inputValue(), '');
    }
    await screenshot(page, 'by-key-wrong');
    assert.equal(await enter(page, KEYS.tokenOnly), 403);
    assert.match(await page.locator('#key-problem').innerText(), /may only read tokens/);
    assert.equal(await enter(page, KEYS.workload), 403);
    assert.deepEqual(complaints.filter((one) => !/status of 40[13]/.test(one)), []);

    assert.equal(await enter(page, KEYS.admin), 303);
    assert.match(page.url(), /\/authorize\/sca_\w+$/);
    assert.match(await page.locator('main').innerText(), /usr_alice/);
    await page.getByRole('button', { name: /^Connect/ }).click();
    await page.waitForLoadState();
    assert.match(await heading(page), /is connected/);
    await close();

    const { code, out, err } = await asked.done;
    assert.equal(code, 0, err + out);
    assert.equal(await sandbox.honours(out.trim()), true, out);
    assert.equal((await as(KEYS.admin).json('token', 'sandbox/crm')).token, out.trim());
    // Nobody else's.
    assert.match((await as(KEYS.member).run('token', 'sandbox/crm')).err, /authoriz/);
    for (const key of [...Object.values(KEYS), 'tok_nobody'])
      for (const place of [...addresses, server.child.output]) assert.ok(!place.includes(key), `${key} in ${place}`);
  });

  it('has a link that is good for one consent', async () => {
    const { page, close } = await visit(used);
    assert.equal(await enter(page, KEYS.admin), 409);
    assert.match(await page.locator('main').innerText(), /has ended; use another one/);
    await page.goto(used);
    assert.equal(await enter(page, KEYS.member), 409);
    assert.match(await page.locator('main').innerText(), /something else was asked for/);
    await close();
  });

  it('is told that somebody said no', async () => {
    const asked = as(KEYS.member).begin('token', 'sandbox/no', '--scopes', 'read,write', '--yes');
    const link = here(await asked.address, 'authorize');
    const { page, close } = await visit(link);
    assert.match(await page.locator('main').innerText(), /read,? ?write/);
    assert.equal(await enter(page, KEYS.member), 303);
    const consent = page.url();
    // Going back and entering it again leads to the same consent.
    await page.goto(link);
    assert.equal(await enter(page, KEYS.member), 303);
    assert.equal(page.url(), consent);
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('button').click();
    await page.waitForLoadState();
    await close();
    const { code, err } = await asked.done;
    assert.equal(code, 1, err);
    assert.match(err, /canceled in the browser/);
  });

  it('without anybody to wait prints the link, and finds the token the next time', async () => {
    const { code, out, err } = await as(KEYS.member).run('token', 'sandbox/later');
    assert.equal(code, 1, out);
    const [, address] = /open: (\S+)/.exec(err) ?? assert.fail(err);
    const { page, close } = await visit(here(address, 'authorize'));
    assert.equal(await enter(page, KEYS.member), 303);
    await page.getByRole('button', { name: /^Connect/ }).click();
    await page.waitForLoadState();
    await close();
    const { token } = await as(KEYS.member).json('token', 'sandbox/later');
    assert.equal(await sandbox.honours(token), true);
  });

  it('waits for an application to be installed, and prints its token there', async () => {
    const asked = as(KEYS.member).begin('token', 'sandbox/bot', '--subject', 'app', '--yes', '--format=json');
    const { page, complaints, close } = await visit(here(await asked.address, 'install'));
    await screenshot(page, 'by-key-install');
    assert.equal(await heading(page), 'Install an application');
    assert.equal(await enter(page, KEYS.member), 303);
    assert.match(page.url(), /\/install\/sci_\w+$/);
    await page.getByRole('button', { name: /^Install/ }).click();
    await page.waitForLoadState();
    assert.match(await heading(page), /^Installed in/);
    assert.deepEqual(complaints, []);
    await close();
    const { code, out, err } = await asked.done;
    assert.equal(code, 0, err + out);
    const { token, installationId } = JSON.parse(out);
    assert.equal(installationId, 'T1');
    assert.equal(await sandbox.honours(token), true);
  });
});

describe('a link that nobody printed', () => {
  const CODE = 'A'.repeat(43);
  const link = (connector, query) => `${server.url}/api/v1/connect/authorize/${connector}?${new URLSearchParams(query)}`;

  it('is refused with what is wrong with it', async () => {
    for (const [query, said] of [
      [{ teamId: TEAM }, /has no request_code/],
      [{ teamId: TEAM, request_code: 'abc' }, /43 characters/],
    ]) {
      const { page, answer, close } = await visit(link('scl_crm', query));
      assert.equal(answer.status(), 400);
      assert.match(await page.locator('main').innerText(), said);
      assert.equal(await page.locator('form').count(), 0);
      await close();
    }
  });

  it('to a connector that is not there is told to the team’s own', async () => {
    const { page, close } = await visit(link('scl_none', { teamId: TEAM, request_code: CODE }));
    assert.equal(await enter(page, KEYS.stranger), 401);
    assert.equal(await enter(page, KEYS.admin), 404);
    assert.match(await page.locator('main').innerText(), /no connector with the name or id “scl_none”/);
    await screenshot(page, 'by-key-unknown');
    await close();
  });

  for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP }))
    for (const colorScheme of ['light', 'dark'])
      it(`can be read on a ${device}, ${colorScheme}`, async () => {
        const query = { teamId: TEAM, request_code: CODE, scopes: 'read,write', installationId: 'T1' };
        const { page, complaints, close } = await visit(link('sandbox%2Fcrm', query), { viewport, colorScheme, javaScriptEnabled: true });
        await screenshot(page, `by-key-${device}-${colorScheme}`);
        assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
        const button = await page.getByRole('button').boundingBox();
        assert.ok(button.height >= 44 && button.y + button.height <= viewport.height, JSON.stringify(button));
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= viewport.width);
        for (const part of ['h1', 'p', 'dd', 'label', '.help', '.small', 'button']) {
          const ratio = await contrast(page.locator(part).first());
          assert.ok(ratio >= 4.5, `${part}: ${ratio}`);
        }
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
        assert.deepEqual(complaints, []);
        await close();
      });
});
