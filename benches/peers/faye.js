// faye as the benches start it: its own engine in memory, nothing logged, streams that do not ping, sessions that outlast
// a row. Arguments: where the library lies, and the port.
const [library, port] = process.argv.slice(2);
const http = require('http');
const faye = require(library);

const server = http.createServer();
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.headersTimeout = 0;
// Seconds. A session of faye's is over when its client has been silent for twice the timeout.
new faye.NodeAdapter({ mount: '/bayeux', timeout: 600, ping: 1000000 }).attach(server);
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
