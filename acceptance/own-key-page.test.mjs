// The page on which a user pastes a key of their own, in a real browser.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { contrast, DESKTOP, launch, PHONE, screenshot } from './lib/browser.mjs';
import { Grantry } from './lib/grantry.mjs';
import { needsConsent, served, user } from './lib/provider-suite.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const INSTRUCTIONS = `## Where it is

Open [**Settings → API keys**](https://acme.example/settings?tab=keys), then:

1. Press *New key*, name it \`web\`
2. Copy it **before** you close the window

<script>document.title = 'owned'</script> [never](javascript:document.title='owned') ![x](https://acme.example/pixel.png)`;

let server, browser;
before(async () => {
  server = await Grantry.start(
    world({
      connectors: [
        {
          id: 'scl_own',
          uid: 'acme/own',
          team: TEAM,
          name: 'Acme Maps',
          type: 'api-key',
          service: 'acme.example',
          data: { subjectType: 'user', instructions: INSTRUCTIONS },
          links: [{ project: PROJECT, environments: ['production'] }],
        },
      ],
    }),
  );
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The page that a refused token request offers `who`, in a browser of its own. */
async function open(who, settings) {
  const refused = await server.token('acme/own', who);
  assert.equal(refused.status, 422, refused.text);
  const { code, authorizationUrl } = refused.body.error;
  assert.equal(code, 'user_authorization_required');
  assert.ok(authorizationUrl.startsWith(`${server.url}/authorize/sca_`), authorizationUrl);
  return visit(authorizationUrl, settings);
}

async function visit(url, settings) {
  const context = await browser.newContext({ viewport: DESKTOP, ...settings });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(`${error}`));
  await page.goto(url);
  return { page, complaints, url, close: () => context.close() };
}

async function paste(page, key) {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button').click();
  await page.waitForLoadState();
}

for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP }))
  for (const colorScheme of ['light', 'dark'])
    describe(`on a ${device}, ${colorScheme}`, () => {
      let shown;
      before(async () => (shown = await open(user('looker'), { viewport, colorScheme })));
      after(() => shown?.close());

      it('tells where the key is, and has a field for it', async () => {
        const { page } = shown;
        await screenshot(page, `own-key-${device}-${colorScheme}`);
        const instructions = page.locator('#instructions');
        assert.equal(await instructions.locator('ol > li').count(), 2);
        const link = instructions.getByRole('link');
        assert.equal(await link.count(), 1);
        assert.equal(await link.getAttribute('href'), 'https://acme.example/settings?tab=keys');
        assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
        assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password');
        assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
      });

      it('fits the width and can be read', async () => {
        const { page, complaints } = shown;
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${width}`);
        for (const part of ['#instructions li', '#instructions a', '#instructions code', 'label', 'button']) {
          const ratio = await contrast(page.locator(part).first());
          assert.ok(ratio >= 4.5, `${part}: ${ratio}`);
        }
        const box = await page.getByRole('button').boundingBox();
        assert.ok(box.height >= 44, JSON.stringify(box));
        assert.notEqual(await page.title(), 'owned');
        assert.deepEqual(complaints, []);
      });
    });

it('takes a key, hands it out, takes another in its place, and ends with a revocation', async () => {
  const who = user('owner');
  const first = await open(who, { javaScriptEnabled: false });
  await paste(first.page, 'sk-first-1');
  assert.match(await first.page.locator('h1').innerText(), /is connected/);
  await screenshot(first.page, 'own-key-done');
  assert.equal((await served(server, 'acme/own', who)).token, 'sk-first-1');

  const again = await server.authorize('acme/own', { ...who, returnUrl: RETURN_URL });
  const second = await visit(again.body.url);
  const arrived = second.page.waitForRequest((request) => request.url().startsWith(RETURN_URL));
  await second.page.getByLabel('API key').fill('  sk-second-2 ');
  await second.page.getByRole('button').click({ noWaitAfter: true });
  assert.doesNotMatch((await arrived).url(), /second/);
  assert.equal((await served(server, 'acme/own', who)).token, 'sk-second-2');

  const revoked = await server.revoke('acme/own', { ...who, key: KEYS.admin });
  assert.deepEqual(revoked.body, {
    tokensFound: 1,
    deleted: 1,
    providerRevoked: 0,
    providerSkipped: 1,
    providerFailed: 0,
  });
  await needsConsent(server, 'acme/own', who);
  await Promise.all([first.close(), second.close()]);
});

it('says what is wrong with what cannot be a key, and keeps nothing of it', async () => {
  const who = user('hasty');
  const { page, close } = await open(who);
  await paste(page, 'two words');
  assert.match(await page.getByRole('status').innerText(), /cannot be a key/);
  assert.equal(await page.getByLabel('API key').inputValue(), '');
  await needsConsent(server, 'acme/own', who);
  await paste(page, 'sk-right');
  assert.equal((await served(server, 'acme/own', who)).token, 'sk-right');
  await close();
});

it('offers who asks again the same page, and another user another one', async () => {
  const offered = async (id) => (await server.token('acme/own', user(id))).body.error.authorizationUrl;
  assert.equal(await offered('twice'), await offered('twice'));
  assert.notEqual(await offered('twice'), await offered('thrice'));
});
