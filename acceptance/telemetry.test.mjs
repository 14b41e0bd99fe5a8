// What operators see: metrics as Prometheus reads them, spans as an OpenTelemetry collector gets them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { Child, freePort, run, until } from './lib/process.mjs';
import { connect, expiry, needsConsent, served, user } from './lib/provider-suite.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { connectorOf, KEYS, world } from './lib/world.mjs';

/** A collector: takes OTLP over HTTP and keeps what it was sent. */
class Collector {
  static async start() {
    const collector = new Collector();
    collector.requests = [];
    collector.server = http.createServer(async (request, response) => {
      let body = '';
      for await (const piece of request.setEncoding('utf8')) body += piece;
      collector.requests.push({ method: request.method, url: request.url, type: request.headers['content-type'], body });
      response.end('{}');
    });
    collector.server.listen(0, '127.0.0.1');
    await once(collector.server, 'listening');
    collector.url = `http://127.0.0.1:${collector.server.address().port}`;
    return collector;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  get spans() {
    return this.requests
      .flatMap(({ body }) => JSON.parse(body).resourceSpans)
      .flatMap(({ scopeSpans }) => scopeSpans)
      .flatMap(({ spans }) => spans);
  }
}

const attributes = (span) =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.boolValue]));

describe('metrics and traces', () => {
  const secret = 'canary-user-7f3a';
  let server, sandbox, collector, metrics, first, second;

  before(async () => {
    collector = await Collector.start();
    metrics = `127.0.0.1:${await freePort()}`;
    server = await Grantry.start(undefined, {
      env: { GRANTRY_METRICS_LISTEN: metrics, GRANTRY_TELEMETRY_OTLP_ENDPOINT: collector.url },
      config: '[proxy]\ntrusted = ["127.0.0.1"]\n',
    });
    sandbox = await Sandbox.start({ accessTtl: 3 });
    await server.apply(world(connectorOf(sandbox, { id: 'scl_seen', uid: 'oidc/seen', client: DEMO })));
    first = await connect(server, 'scl_seen', user(secret));
    for (let read = 0; read < 5; read++) await served(server, 'scl_seen', user(secret));
    await expiry(sandbox, first);
    second = await served(server, 'scl_seen', user(secret));
    await needsConsent(server, 'scl_seen', user('nobody'));
    assert.equal((await server.call('GET', `/no/such/${secret}`)).status, 404);
  });
  after(async () => {
    await server?.stop();
    await sandbox?.stop();
    collector?.stop();
  });

  const scrape = async () => (await fetch(`http://${metrics}/metrics`)).text();
  const value = (text, series) => Number(text.split('\n').find((line) => line.startsWith(`${series} `))?.split(' ').at(-1));

  it('metrics count what happened', async () => {
    const text = await scrape();
    assert.equal(value(text, 'grantry_token_reads_total{outcome="renewed"}'), 1);
    assert.ok(value(text, 'grantry_token_reads_total{outcome="served"}') >= 6);
    assert.ok(value(text, 'grantry_token_reads_total{outcome="needs_consent"}') >= 1);
    assert.equal(value(text, 'grantry_token_refreshes_total{outcome="renewed",service="service-scl-seen"}'), 1);
    const route = 'route="/v1/connect/token/{connector}"';
    assert.ok(value(text, `grantry_http_requests_total{dialect="vercel",method="POST",${route},status="200"}`) >= 7);
    assert.equal(value(text, 'grantry_http_requests_total{dialect="none",method="GET",route="unmatched",status="404"}'), 1);
    assert.equal(value(text, 'grantry_provider_requests_total{destination="allowed",outcome="2xx",purpose="token"}'), 2);
    assert.ok(value(text, 'grantry_cache_hits_total{cache="connections"}') >= 4);
    assert.ok(value(text, 'grantry_change_feed_age_seconds') < 2);
    assert.ok(value(text, 'process_resident_memory_bytes') > 1e6);
  });

  it('Prometheus finds nothing to say against them, nor against the alert rules', async () => {
    const check = new Child('bash', ['-c', `curl -fsS http://${metrics}/metrics | promtool check metrics`]);
    assert.equal(await check.exited, 0, check.output);
    assert.equal(check.output.trim(), '');
    await run('promtool', ['check', 'rules', path.join(import.meta.dirname, '../packaging/prometheus/alerts.yml')]);
  });

  it('no label names a user, a connector or a team', async () => {
    const text = await scrape();
    for (const word of [secret, 'nobody', 'scl_seen', 'team_1', 'prj_1', 'usr_', KEYS.workload])
      assert.ok(!text.includes(word), word);
  });

  it('a request is a span of its trusted caller\'s trace, with what it did beneath it', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    await fetch(`${server.url}/v1/connect/token/scl_seen`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEYS.workload}`,
        'content-type': 'application/json',
        traceparent: `00-${trace}-00f067aa0ba902b7-01`,
      },
      body: JSON.stringify({ subject: { type: 'user', id: secret }, scopes: ['*'] }),
    });
    await until(() => collector.spans.some(({ traceId }) => traceId === trace), 'the spans arrive');
    const spans = collector.spans.filter(({ traceId }) => traceId === trace);
    const request = spans.find(({ name }) => name === 'request');
    assert.equal(request.parentSpanId, '00f067aa0ba902b7');
    assert.equal(request.kind, 2);
    assert.equal(attributes(request)['http.route'], '/v1/connect/token/{connector}');
    assert.equal(attributes(request)['http.response.status_code'], '200');
    const token = spans.find(({ name }) => name === 'token');
    assert.equal(token.parentSpanId, request.spanId);
    assert.ok(BigInt(token.startTimeUnixNano) >= BigInt(request.startTimeUnixNano));
  });

  it('a refresh is one trace from the request to the provider and the database', async () => {
    await until(() => collector.spans.some((span) => attributes(span).outcome === 'renewed'), 'the refresh arrives');
    const { traceId } = collector.spans.find((span) => span.name === 'token' && attributes(span).outcome === 'renewed');
    await until(() => collector.spans.some((span) => span.traceId === traceId && span.name === 'request'), 'its request too');
    const spans = collector.spans.filter((span) => span.traceId === traceId);
    const path = (span) => (span ? [...path(spans.find(({ spanId }) => spanId === span.parentSpanId)), span.name] : []);
    const provider = spans.find(({ name }) => name === 'provider request');
    assert.deepEqual(path(provider), ['request', 'token', 'flight', 'provider request']);
    assert.equal(attributes(provider)['server.address'], '127.0.0.1');
    const writes = spans.filter((span) => span.name === 'database' && attributes(span).operation === 'write');
    assert.ok(writes.length >= 2, 'the attempt and the new pair are written');
  });

  it('is OTLP as its own definition reads it', async () => {
    const python = path.join(import.meta.dirname, '.cache/venv/bin/python');
    const program = `
import base64, json, sys
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
count = 0
for line in sys.stdin:
    sent = json.loads(line)
    for resource in sent["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP's JSON has ids in hexadecimal where protobuf's has base64.
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    request = ParseDict(sent, ExportTraceServiceRequest())
    names = {a.key: a.value.string_value for r in request.resource_spans for a in r.resource.attributes}
    assert names["service.name"] == "grantry" and names["service.instance.id"], names
    for r in request.resource_spans:
        for s in r.scope_spans:
            for span in s.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
                assert span.start_time_unix_nano <= span.end_time_unix_nano
                count += 1
print(count)
`;
    const file = path.join(server.folder, 'otlp.py');
    const input = path.join(server.folder, 'otlp.jsonl');
    const { writeFileSync } = await import('node:fs');
    writeFileSync(file, program);
    writeFileSync(input, `${collector.requests.map(({ body }) => body).join('\n')}\n`);
    const counted = Number(await run('bash', ['-c', `${python} ${file} < ${input}`]));
    assert.ok(counted > 20, `${counted}`);
    for (const { method, url, type } of collector.requests)
      assert.deepEqual([method, url, type], ['POST', '/v1/traces', 'application/json']);
  });

  it('no span holds a secret, a subject or a query', async () => {
    await server.stop();
    const sent = collector.requests.map(({ body }) => body).join('\n');
    for (const word of [first.token, second.token, secret, KEYS.workload, KEYS.admin, DEMO.secret, 'state=', 'code='])
      assert.ok(!sent.includes(word), word);
    assert.ok(collector.spans.some(({ name }) => name === 'callback'), 'the consent was seen as well');
    await server.serve();
  });

  it('a collector that is away costs nothing but spans', async () => {
    collector.stop();
    for (let read = 0; read < 20; read++) assert.equal((await server.token('scl_seen', user('nobody'))).status, 422);
    collector = undefined;
  });
});
