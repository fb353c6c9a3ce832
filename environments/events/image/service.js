// Stands in for the services of an event platform: it serves, logs JSON lines to standard output, looks whether what it is
// given takes connections, and ends in good order. Put your own in its place.
//
//   node service.js NAME       serve on port 3000
//   node service.js migrate    wait for the event store; may run before every deploy
const fs = require('fs');
const http = require('http');
const net = require('net');

const name = process.argv[2] ?? 'service';
const NEEDS = { database_url: 5432, amqp_url: 5672, redis_url: 6379 };
const log = (event, more = {}) =>
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), service: name, event, ...more })}\n`);

function secret(file) {
  try {
    return fs.readFileSync(`/run/secrets/${file}`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Whether the other side of a URL takes connections. */
function reachable(url, port) {
  const { hostname: host, port: own } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect({ host, port: Number(own) || port, timeout: 3000 });
    const end = (up) => {
      socket.destroy();
      resolve(up);
    };
    socket.on('connect', () => end(true)).on('timeout', () => end(false)).on('error', () => end(false));
  });
}

async function state() {
  const given = Object.entries(NEEDS).filter(([file]) => secret(file));
  const up = await Promise.all(given.map(([file, port]) => reachable(secret(file), port)));
  return Object.fromEntries(given.map(([file], index) => [file.replace('_url', ''), up[index]]));
}

if (name === 'migrate') {
  reachable(secret('database_url'), NEEDS.database_url).then((up) => {
    log(up ? 'migrated' : 'the event store does not answer');
    process.exit(up ? 0 : 1);
  });
} else {
  const server = http.createServer(async (request, response) => {
    const needs = await state();
    const healthy = Object.values(needs).every(Boolean);
    response.writeHead(request.url === '/healthz' && !healthy ? 503 : 200, { 'Content-Type': 'application/json' });
    response.end(`${JSON.stringify({ service: name, queue: process.env.QUEUE, needs })}\n`);
  });
  server.listen(3000, () => log('listening', { port: 3000 }));
  process.on('SIGTERM', () => {
    log('ending');
    server.close(() => {
      log('ended');
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}
