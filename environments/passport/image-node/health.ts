// Asks the service in this container how it is.
import http from 'node:http';

http
  .get('http://127.0.0.1:8080/healthz', { timeout: 5000 }, (response) => process.exit(response.statusCode === 200 ? 0 : 1))
  .on('error', () => process.exit(1));
