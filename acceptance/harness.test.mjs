// The harness judges others; here it is judged itself.
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { toml } from './lib/grantry.mjs';
import { run } from './lib/process.mjs';
import { offences } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';

describe('offences', () => {
  const NONE = { afterAnswer: 0, burst: 0, hasty: 0, afterRefusal: 0 };
  /** Rows of [milliseconds, family, generation, answered, error]. */
  const counted = (rows) =>
    offences(
      rows.map(([ms, family, generation, answered, error = null]) => ({
        at: ms * 1000,
        refresh: { family, generation },
        answered_at: answered ? ms * 1000 + 500 : null,
        error,
      })),
    );

  for (const [what, rows, found] of [
    ['one presentation each', [[0, 0, 0, true], [50, 0, 1, true]], {}],
    ['lost twice, then answered', [[0, 0, 0, false], [9, 0, 0, false], [20, 0, 0, true]], {}],
    ['one try a step, after the first three', [[0, 0, 0, false], [1, 0, 0, false], [2, 0, 0, false], [30_000, 0, 0, false], [90_000, 0, 0, true]], {}],
    ['another family after a refusal', [[0, 0, 0, true, 'invalid_grant'], [50, 1, 0, true]], {}],
    ['again after an answer', [[0, 0, 0, true], [5, 0, 0, true]], { afterAnswer: 1 }],
    ['four at once', [[0, 0, 0, false], [1, 0, 0, false], [2, 0, 0, false], [3, 0, 0, false]], { burst: 1 }],
    ['no back-off', [[0, 0, 0, false], [6_000, 0, 0, false], [6_500, 0, 0, true]], { hasty: 1 }],
    ['on after a refusal', [[0, 0, 0, true, 'invalid_grant'], [50, 0, 1, true]], { afterRefusal: 1 }],
  ])
    it(what, () => assert.deepEqual(counted(rows), { ...NONE, ...found }));
});

describe('a visitor', () => {
  it('keeps cookies, follows redirects with GET, and sends what the form carries', async () => {
    const seen = [];
    const server = http.createServer(async (req, res) => {
      let body = '';
      for await (const part of req) body += part;
      seen.push([req.method, req.url, req.headers.cookie ?? '', body]);
      if (req.method === 'POST')
        return res.writeHead(303, { location: '/after', 'set-cookie': ['a=2; Path=/', 'b=; Max-Age=0'] }).end();
      if (req.url === '/after') return res.writeHead(302, { location: 'http://localhost:9/done?x=1' }).end();
      res.writeHead(200, { 'set-cookie': ['a=1; HttpOnly', 'b=9'] });
      res.end('<form method="get"></form><form method="post" action="/go?q=1&amp;r=2"><input type="hidden" name="t" value="&quot;x&quot;"><button>Go</button></form>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const arrived = await new Visitor().connect(`http://127.0.0.1:${server.address().port}/`, 'http://localhost:9/done');
    server.close();
    assert.equal(arrived.search, '?x=1');
    assert.deepEqual(seen, [
      ['GET', '/', '', ''],
      ['POST', '/go?q=1&r=2', 'a=1; b=9', 't=%22x%22'],
      ['GET', '/after', 'a=2', ''],
    ]);
  });
});

it('apply documents are TOML', async () => {
  const tables = { keys: [{ token: 'tok_1', level: 'team' }], connectors: [{ id: 'a', data: { secret: 's%c"\\ é\n', 'odd key': [1, true] } }] };
  const python = new URL('.cache/venv/bin/python', import.meta.url).pathname;
  const parsed = await run(python, ['-c', 'import json,sys,tomllib; print(json.dumps(tomllib.loads(sys.argv[1])))', toml(tables)]);
  assert.deepEqual(JSON.parse(parsed), tables);
});
