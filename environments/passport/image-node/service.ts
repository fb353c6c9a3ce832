// The services in TypeScript of a small product-passport platform: each keeps entries in a schema of its own. Put your own in
// their place.
//
//   node service.js NAME            serve on port 8080: GET and POST anywhere below /
//   node service.js NAME migrate    bring the tables of its schema to this version; may run before every deploy
import fs from 'node:fs';
import http from 'node:http';

import { Pool } from 'pg';

type Answer = [status: number, body: object];

const [service = 'portal', command = 'serve'] = process.argv.slice(2);
const store = new Pool({
  connectionString: fs.readFileSync('/run/secrets/database_url', 'utf8').trim(),
  max: 3,
  connectionTimeoutMillis: 10000,
});
store.on('error', (error) => log('database', { error: error.message }));

function log(event: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), service, event, ...more })}\n`);
}

/** The schema is not named: it is the first place where this service's user looks, and the only one that it may see. */
async function migrate(): Promise<void> {
  await store.query(`CREATE TABLE IF NOT EXISTS entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (name <> ''), made timestamptz NOT NULL DEFAULT now())`);
  await store.end();
  log('migrated');
}

async function add(request: http.IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { name } = JSON.parse(Buffer.concat(chunks).toString()) as { name?: unknown };
  if (typeof name !== 'string' || name === '') return [422, { error: 'send {"name": "…"}' }];
  await store.query('INSERT INTO entries (name) VALUES ($1)', [name]);
  log('added', { name });
  return [201, { name }];
}

async function answer(request: http.IncomingMessage): Promise<Answer> {
  if (request.url === '/healthz') {
    await store.query('SELECT 1');
    return [200, { service, database: 'ok' }];
  }
  if (request.method === 'POST') return add(request);
  const { rows } = await store.query<{ schema: string; entries: string[] }>(
    `SELECT current_schema AS schema, coalesce(array_agg(name ORDER BY id), '{}') AS entries FROM (SELECT * FROM entries LIMIT 100) AS these`,
  );
  return [200, { service, ...rows[0] }];
}

function serve(): void {
  const server = http.createServer(async (request, response) => {
    const [status, body] = await answer(request).catch((error: Error): Answer => {
      log('failed', { error: error.message });
      return [error instanceof SyntaxError ? 422 : 503, { error: 'failed' }];
    });
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  });
  server.listen(Number(process.env.PORT ?? 8080), () => log('listening'));
  process.once('SIGTERM', () => {
    log('ending');
    server.close(async () => {
      await store.end();
      log('ended');
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}

if (command === 'migrate') {
  migrate().catch((error: Error) => {
    log('failed', { error: error.message });
    process.exit(1);
  });
} else {
  serve();
}
