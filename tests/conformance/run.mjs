// Runs the http-tests cache suite from PACKAGE against the cache at BASE, whose origin it is: node run.mjs PACKAGE BASE [ID...]
// The origin's port comes in npm_config_port. Prints {"id": [kind, group, result]}; result is true, null where the
// test is for browsers only, or what went wrong. Needs Node's own fetch: nothing beside the package is loaded.

import net from 'node:net'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, base, ...wanted] = process.argv.slice(2)
const load = name => import(pathToFileURL(path.join(folder, name)))

// On loopback only, whatever the suite's server thinks; and its warnings go where they do not mix with the result.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (port) { return listen.call(this, port, '127.0.0.1') }
console.log = console.error

await load('server/server.mjs')
const suites = (await load('tests/index.mjs')).default
const { runTests, getResults } = await load('client/runner.mjs')

const chosen = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => wanted.length === 0 || wanted.includes(test.id))
}))
// Node's fetch, as a browser's, adds `Cache-Control: no-cache` and Pragma of its own to what is conditional or is not to
// be cached by itself, unless there are such fields; the suite's later versions put these in, too.
const harmless = [['Pragma', 'foo'], ['Cache-Control', 'nothing-to-see-here']]
const fetch = (url, { headers = [], ...init } = {}) => {
  const said = new Set(headers.map(([name]) => name.toLowerCase()))
  return globalThis.fetch(url, { ...init, headers: [...headers, ...harmless.filter(([name]) => !said.has(name.toLowerCase()))] })
}
await runTests(chosen, fetch, false, base)
const results = getResults()
const found = {}
for (const suite of chosen) {
  for (const test of suite.tests) {
    found[test.id] = [test.kind || 'required', suite.id, results[test.id] ?? null]
  }
}
process.stdout.write(JSON.stringify(found), () => process.exit(0))
