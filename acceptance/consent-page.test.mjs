// The one page that an end user sees, in a real browser.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { contrast, DESKTOP, launch, PHONE, screenshot } from './lib/browser.mjs';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { needsConsent, served, user } from './lib/provider-suite.mjs';
import { png, sha1 } from './lib/image.mjs';
import { connectorOf, KEYS, RETURN_URL, TEAM, world } from './lib/world.mjs';

let server, peer, browser;
before(async () => {
  server = await Grantry.start();
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
  await server.apply(world(connectorOf(peer, { id: 'scl_page', uid: 'oidc/page' })));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await peer?.stop();
});

/** A fresh consent link for `who`, opened in a browser of its own. */
async function open(who, settings) {
  const { status, text, body } = await server.authorize('scl_page', { ...who, returnUrl: RETURN_URL });
  assert.equal(status, 200, text);
  const context = await browser.newContext({ viewport: DESKTOP, ...settings });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(`${error}`));
  const answer = await page.goto(body.url);
  return { page, answer, complaints, link: body, close: () => context.close() };
}

/** Presses the button and waits to arrive at the return URL, where nothing listens. */
async function press(page) {
  const arrived = page.waitForRequest((request) => request.url().startsWith(RETURN_URL));
  await page.getByRole('button').click({ noWaitAfter: true });
  return new URL((await arrived).url());
}

for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP }))
  for (const colorScheme of ['light', 'dark'])
    describe(`on a ${device}, ${colorScheme}`, () => {
      const name = `consent-${device}-${colorScheme}`;
      let shown;
      before(async () => (shown = await open(user('user-of-the-page'), { viewport, colorScheme })));
      after(() => shown?.close());

      it('names who asks, what is connected and for whom', async () => {
        await screenshot(shown.page, name);
        const text = await shown.page.locator('body').innerText();
        for (const named of ['web', 'Connector oidc/page', 'user-of-the-page', 'api:read'])
          assert.ok(text.includes(named), `${named} is not in: ${text}`);
        assert.equal(await shown.page.getByRole('heading', { level: 1 }).count(), 1);
        assert.ok(await shown.page.title());
        assert.ok(await shown.page.locator('html').getAttribute('lang'));
      });

      it('has one button, in sight and big enough for a thumb', async () => {
        const button = shown.page.getByRole('button');
        assert.equal(await button.count(), 1);
        const box = await button.boundingBox();
        assert.ok(box.height >= 44 && box.width >= 88, JSON.stringify(box));
        assert.ok(box.y + box.height <= viewport.height, `${JSON.stringify(box)} is below the fold`);
      });

      it('fits the width and can be read', async () => {
        const width = await shown.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${width}`);
        for (const part of ['h1', 'p', 'button']) {
          const ratio = await contrast(shown.page.locator(part).first());
          assert.ok(ratio >= 4.5, `${part}: ${ratio}`);
        }
        assert.deepEqual(shown.complaints, []);
      });
    });

it('is dark in the dark', async () => {
  const background = async (colorScheme) => {
    const { page, close } = await open(user('seer'), { colorScheme });
    const color = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await close();
    return color;
  };
  assert.notEqual(await background('light'), await background('dark'));
});

it('connects with one press and comes back', async () => {
  const who = user('presser');
  const { page, close } = await open(who);
  const arrived = await press(page);
  assert.equal(arrived.origin + arrived.pathname, RETURN_URL);
  assert.doesNotMatch(arrived.search, /access_token|refresh_token/);
  assert.equal(await peer.honours((await served(server, 'scl_page', who)).token), true);
  await close();
});

it('needs no JavaScript', async () => {
  const who = user('scriptless');
  const { page, close } = await open(who, { javaScriptEnabled: false });
  await press(page);
  assert.equal(await peer.honours((await served(server, 'scl_page', who)).token), true);
  await close();
});

it('works from the keyboard alone', async () => {
  const who = user('typist');
  const { page, close } = await open(who);
  for (let presses = 0; presses < 10; presses++) {
    await page.keyboard.press('Tab');
    if (await page.getByRole('button').evaluate((button) => button === document.activeElement)) break;
  }
  const arrived = page.waitForRequest((request) => request.url().startsWith(RETURN_URL));
  await page.keyboard.press('Enter');
  await arrived;
  assert.equal(await peer.honours((await served(server, 'scl_page', who)).token), true);
  await close();
});

it('may be looked at any number of times: looking changes nothing', async () => {
  const who = user('scanned');
  const { page, link, close } = await open(who);
  for (let looks = 0; looks < 5; looks++) assert.equal((await fetch(link.url)).status, 200);
  await needsConsent(server, 'scl_page', who);
  await press(page);
  await served(server, 'scl_page', who);
  await close();
});

it('lets nothing in and nothing out', async () => {
  const { answer, close } = await open(user('guarded'));
  const headers = answer.headers();
  const policy = headers['content-security-policy'] ?? '';
  for (const rule of [/default-src 'none'/, /frame-ancestors 'none'/, /base-uri 'none'/, /form-action [^;]*'self'/])
    assert.match(policy, rule);
  // Chromium holds every redirect that follows a form to this rule, to the last one.
  for (const origin of [peer.url, new URL(RETURN_URL).origin])
    assert.ok(policy.match(/form-action ([^;]*)/)[1].split(' ').includes(origin), `${origin} is not in: ${policy}`);
  assert.doesNotMatch(policy, /unsafe-/);
  // Not `no-referrer`: a form posted under that policy says `Origin: null`, and we could not tell it from a stranger's.
  assert.equal(headers['referrer-policy'], 'same-origin');
  assert.match(headers['cache-control'], /no-store/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  await close();
});

it('shows the connector as it was branded', async () => {
  const image = png(640, 640);
  const icon = sha1(image);
  const headers = { authorization: `Bearer ${KEYS.admin}`, 'content-type': 'application/octet-stream', 'x-vercel-digest': icon };
  const sent = await fetch(`${server.url}/v2/files?teamId=${TEAM}`, { method: 'POST', body: image, headers });
  assert.equal(sent.status, 200);
  const brand = { icon, backgroundColor: '#ffe01b' };
  const changed = await server.call('PATCH', `/v1/connect/connectors/scl_page?teamId=${TEAM}`, { key: KEYS.admin, body: brand });
  assert.equal(changed.status, 200, changed.text);
  const { page, complaints, close } = await open(user('brand'), { viewport: PHONE });
  await screenshot(page, 'consent-phone-branded');
  const shown = page.locator('.icon img');
  assert.equal(await shown.evaluate((image) => image.naturalWidth), 640);
  assert.equal(await page.locator('.icon').evaluate((mark) => getComputedStyle(mark).backgroundColor), 'rgb(255, 224, 27)');
  assert.deepEqual(complaints, []);
  await close();
});

describe('a link that leads nowhere', () => {
  for (const [what, route] of Object.entries({
    'an unknown request': '/authorize/sca_unknown',
    'a callback out of the blue': '/callback?code=c&state=unknown',
    'a callback with an error only': '/callback?error=access_denied',
  }))
    it(`${what} ends on a page that says what to do next`, async () => {
      const context = await browser.newContext({ viewport: PHONE });
      const page = await context.newPage();
      const answer = await page.goto(server.url + route);
      await screenshot(page, `error-${route.replace(/\W+/g, '-')}`);
      assert.ok(answer.status() >= 400 && answer.status() < 500, `${answer.status()}`);
      assert.match(answer.headers()['content-type'], /^text\/html/);
      const text = await page.locator('body').innerText();
      assert.match(text, /again|new link/i);
      assert.doesNotMatch(text, /access_denied.*access_denied|panick|Error:/);
      await context.close();
    });
});
