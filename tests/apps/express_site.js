// An Express application with a login, a session in a secure cookie, and a WebSocket that echoes: `express_site.js PORT`.
const express = require('express'), session = require('express-session'), { WebSocketServer } = require('ws');

const app = express();
app.set('trust proxy', ['loopback', 'uniquelocal']);
app.use(express.urlencoded({ extended: false }));
app.use(session({ secret: 'not a secret', resave: false, saveUninitialized: false, cookie: { secure: true, sameSite: 'lax' } }));
app.post('/login', (request, response) => {
  request.session.user = request.body.user;
  response.redirect('/me');
});
app.get('/me', (request, response) => {
  if (!request.session.user) return response.status(401).json({ error: 'You are not signed in.' });
  response.json({ user: request.session.user, ip: request.ip, protocol: request.protocol, host: request.hostname });
});
app.get('/hello', (request, response) => response.send('hello'));
app.get('/broken', () => { throw new Error('at /srv/app/secret.js:7'); });

const server = app.listen(Number(process.argv[2]), '127.0.0.1');
new WebSocketServer({ server }).on('connection', socket => socket.on('message', text => socket.send('echo ' + text)));
