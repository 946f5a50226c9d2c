#!/usr/bin/env node
// Signs a Sluice link: sign.mjs KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.
// Needs Node 16.9 or newer, and no package.
import { createCipheriv, createPrivateKey, randomBytes, sign } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

const EDGE = /^https?:\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?$/;
const OPTIONS = {
  start_within: 7200, session: 21600, viewer: null, network: null, once: "no", id: null, now: 0,
  streams: null, opens: null, budget: null, speed: null, country: null, device: "no", renew: null, renew_s: 60,
  offline: null,
};
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const quoted = (text) => text.replace(/[.[\]]/g, "\\$&");
// UTF-8; all but A-Z a-z 0-9 - . _ ~ and / becomes %XX. URIError for text that is no Unicode.
const encoded = (path) =>
  encodeURIComponent(path).replace(/%2F/g, "/")
    .replace(/[!'()*]/g, (sign) => "%" + sign.charCodeAt(0).toString(16).toUpperCase());

function seconds(value, what = "number of seconds") {
  if (!/^[1-9][0-9]{0,14}$/.test(value)) throw new Error(`${value} is no ${what}`);
  return Number(value);
}

function hide(key, text) { // a compact JWE: dir, A128GCM
  if (!text || Buffer.byteLength(text) > 256) throw new Error("a viewer, a network, is 1 to 256 bytes");
  const header = part({ alg: "dir", enc: "A128GCM" }), nonce = randomBytes(12);
  const cipher = createCipheriv("aes-128-gcm", Buffer.from(key.viewer_key, "base64url"), nonce);
  cipher.setAAD(Buffer.from(header));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]).toString("base64url");
  return `${header}..${nonce.toString("base64url")}.${sealed}.${cipher.getAuthTag().toString("base64url")}`;
}

function limitsOf({ streams, opens, budget, speed, country, device }) {
  const found = Object.fromEntries(Object.entries({ streams, opens, budget, speed })
    .filter(([, value]) => value !== null).map(([name, value]) => [name, seconds(value, "limit")]));
  if (found.speed < 16384) throw new Error("speed is from 16384 bytes a second");
  if (country !== null && !/^[A-Z]{2}(,[A-Z]{2}){0,59}$/.test(country))
    throw new Error("country is up to 60 codes of two letters, such as DE,AT");
  if (!["yes", "no"].includes(device)) throw new Error("device is yes or no");
  return { ...found, ...(country !== null && { countries: country.split(",") }), ...(device === "yes" && { device: true }) };
}

function renewalOf(path, { renew, renew_s }) { // RFC 9246 §3
  if (renew === null) return {};
  if (!["cookie", "redirect"].includes(renew) || !/^\/d\/[^/]+\/[^/]+$/.test(path))
    throw new Error("renew is cookie or redirect, for a download");
  return { cdnistt: renew === "cookie" ? 1 : 2, cdniets: seconds(renew_s), cdnistd: 3 };
}

function offlineOf(path, { offline }) {
  if (offline === null) return {};
  if (!/^\/d\/[^/]+\/ece\/[^/]+$/.test(path) || seconds(offline) > 2592000)
    throw new Error("offline is 1 to 2592000 seconds, for a protected download");
  return { offline: Number(offline) };
}

export function signLink(key, edges, path, options = {}) {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) throw new Error(`there is no option ${unknown}`);
  const { viewer, network, once, ...rest } = { ...OPTIONS, ...options };
  const [startWithin, session, now] = [rest.start_within, rest.session, rest.now || Math.floor(Date.now() / 1000)].map(seconds);
  const id = rest.id ?? randomBytes(16).toString("base64url");
  if (key.alg !== "EdDSA" || !edges.every((edge) => EDGE.test(edge)))
    throw new Error("the key is an Ed25519 one, an edge is like https://edge.example.org");
  if (!/^(\/[^/]+)+\/?$/.test(path) || path.split("/").some((name) => name === "." || name === ".."))
    throw new Error("a path is like /v/film/main.m3u8");
  if (!["yes", "no"].includes(once) || !/^[A-Za-z0-9_.~-]{1,64}$/.test(id))
    throw new Error("once is yes or no, an id is 1 to 64 of A-Za-z0-9_.~-");
  const limits = limitsOf(rest);
  const hosts = [...new Set(edges)].map(quoted), place = encoded(path);
  const pattern = quoted(place).replace(/^(\/v\/[a-z0-9][a-z0-9_-]*\/main\\\.)(m3u8|mpd)$/, "$1(m3u8|mpd)");
  const claims = {
    iss: key.iss, aud: "sluice", iat: now, nbf: now - 30, exp: now + startWithin, cap: session,
    cdniuc: `regex:${hosts.length > 1 ? `(${hosts.join("|")})` : hosts[0]}${pattern}`,
    [once === "yes" ? "jti" : "lid"]: id,
    ...(viewer !== null && { sub: hide(key, viewer) }), ...(network !== null && { cdniip: hide(key, network) }),
    ...(Object.keys(limits).length && { limits, cdnicrit: "limits" }), ...offlineOf(path, rest),
    ...renewalOf(path, rest),
  };
  const text = `${part({ alg: "EdDSA", kid: key.kid, typ: "JWT" })}.${part(claims)}`;
  const signature = sign(null, Buffer.from(text), createPrivateKey({ key: key.jwk, format: "jwk" }));
  const token = `${text}.${signature.toString("base64url")}`;
  return edges[0] + place.replace(/^\/[^/]+/, (first) => `${first};URISigningPackage=${token}`);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [file = "", edges = "", path = "", ...words] = process.argv.slice(2);
  try {
    const options = Object.fromEntries(words.map((word) => /^([^=]*)=?(.*)$/s.exec(word).slice(1)));
    console.log(signLink(JSON.parse(readFileSync(file, "utf8")), edges.split(","), path, options));
  } catch (error) {
    console.error(`sign.mjs: ${error.message}`);
    process.exit(1);
  }
}
