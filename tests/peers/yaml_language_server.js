// Opens documents in the YAML language server as an editor does: a list of {uri, text, at: {line, character}} on standard
// input; diagnostics, and completions at `at`, on standard output.
'use strict';
const { spawn } = require('child_process');
const path = require('path');

const root = path.dirname(require.resolve('yaml-language-server/package.json'));
const server = spawn(process.execPath, [path.join(root, 'bin', 'yaml-language-server'), '--stdio'], {
    stdio: ['pipe', 'pipe', 'inherit'],
});
const waiting = new Map();
const diagnostics = new Map();
let next = 1;

function send(message) {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function request(method, params) {
    const id = next++;
    send({ id, method, params });
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

const settings = {
    yaml: { validate: true, completion: true, hover: false, schemaStore: { enable: false }, schemas: {} },
    http: {}, '[yaml]': {},
};

function take(message) {
    if (message.method === 'textDocument/publishDiagnostics') {
        const done = diagnostics.get(message.params.uri);
        if (done) done(message.params.diagnostics);
    } else if (message.method && message.id !== undefined) {
        const items = message.params && message.params.items ? message.params.items : [];
        const result = message.method === 'workspace/configuration'
            ? items.map((item) => settings[item.section] ?? null) : null;
        send({ id: message.id, result });
    } else if (message.id !== undefined && waiting.has(message.id)) {
        const { resolve, reject } = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.error) reject(new Error(message.error.message)); else resolve(message.result);
    }
}

let buffer = Buffer.alloc(0);
server.stdout.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
        const head = buffer.indexOf('\r\n\r\n');
        if (head < 0) return;
        const length = Number(/Content-Length: (\d+)/i.exec(buffer.toString('latin1', 0, head))[1]);
        if (buffer.length < head + 4 + length) return;
        const body = buffer.toString('utf8', head + 4, head + 4 + length);
        buffer = buffer.subarray(head + 4 + length);
        take(JSON.parse(body));
    }
});

async function main(documents) {
    await request('initialize', {
        processId: process.pid, rootUri: null,
        capabilities: { workspace: { configuration: true }, textDocument: { completion: {}, publishDiagnostics: {} } },
    });
    send({ method: 'initialized', params: {} });
    send({ method: 'workspace/didChangeConfiguration', params: { settings } });
    const found = [];
    for (const { uri, text, at } of documents) {
        const heard = new Promise((resolve) => diagnostics.set(uri, resolve));
        send({ method: 'textDocument/didOpen', params: { textDocument: { uri, languageId: 'yaml', version: 1, text } } });
        const one = { diagnostics: (await heard).map((entry) => `${entry.range.start.line + 1}: ${entry.message}`) };
        if (at) {
            const list = await request('textDocument/completion', { textDocument: { uri }, position: at });
            one.completions = (list.items ?? list).map((item) => item.label);
        }
        found.push(one);
    }
    process.stdout.write(JSON.stringify(found));
    server.kill();
    process.exit(0);
}

let given = '';
process.stdin.on('data', (chunk) => { given += chunk; });
process.stdin.on('end', () => main(JSON.parse(given)).catch((error) => {
    console.error(error);
    server.kill();
    process.exit(1);
}));
setTimeout(() => {
    console.error('no answer of the language server within 60 s');
    server.kill();
    process.exit(1);
}, 60_000).unref();
