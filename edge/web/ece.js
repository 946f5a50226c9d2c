// The content coding of protected downloads, aes128gcm (RFC 8188), record by record: where each begins, and what is in
// it. No network, no state: bytes in, bytes out.

const FIXED = 21; // bytes of a header before its key ID: salt 16, record size 4, length of the key ID 1
const TAG = 16;
const OVERHEAD = TAG + 1; // of a record: its tag and its delimiter
const LONGEST_RECORD = 1 << 20; // this edge's are 65,553; one is in memory whole, so nobody may ask for more
const MORE = 1;
const LAST = 2;

export const HEADER_ASKED = FIXED; // bytes to ask for: this edge's headers have no key ID

// A body that is none of this coding, was changed or cut, or is of another key.
export class BadCoding extends Error {}

// The form of a file of `size` plain bytes whose body begins with these: how many records, where each begins and ends.
export function readForm(begin, size) {
  if (begin.length < FIXED) throw new BadCoding("the header is cut");
  const view = new DataView(begin.buffer, begin.byteOffset, begin.length);
  const record = view.getUint32(16);
  if (record <= OVERHEAD || record > LONGEST_RECORD) throw new BadCoding(`records of ${record} bytes`);
  const header = FIXED + view.getUint8(20);
  const records = Math.max(1, Math.ceil(size / (record - OVERHEAD)));
  return { salt: begin.slice(0, 16), record, header, size, records, coded: header + size + OVERHEAD * records };
}

// Where record `number` begins in the body, and how many bytes it has.
export function placeOf(form, number) {
  const at = form.header + number * form.record;
  return { at, length: Math.min(form.record, form.coded - at) };
}

// Opens the records of one body: of one key (16 bytes) and one salt. WebCrypto, so only where the context is secure.
export async function opener(secret, form) {
  const input = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const key = await crypto.subtle.importKey("raw", await derived(input, form.salt, "aes128gcm", 16), "AES-GCM", false, ["decrypt"]);
  const nonce = await derived(input, form.salt, "nonce", 12);

  // The data of a record, whole and at its place, the last only where the last has to be. BadCoding otherwise.
  return async (number, sealed) => {
    let plain;
    try {
      plain = new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonceOf(nonce, number) }, key, sealed));
    } catch {
      throw new BadCoding(`record ${number} does not open`);
    }
    let end = plain.length - 1;
    while (end >= 0 && plain[end] === 0) end -= 1;
    if (plain[end] !== (number === form.records - 1 ? LAST : MORE)) throw new BadCoding(`record ${number} is at the wrong end`);
    return plain.subarray(0, end);
  };
}

async function derived(input, salt, name, length) {
  const info = new TextEncoder().encode(`Content-Encoding: ${name}\0`);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, input, 8 * length));
}

// The nonce xor the number, which is below 2^53: its upper part goes into the word before the last.
function nonceOf(nonce, number) {
  const found = nonce.slice();
  const view = new DataView(found.buffer);
  view.setUint32(4, view.getUint32(4) ^ Math.floor(number / 2 ** 32));
  view.setUint32(8, view.getUint32(8) ^ (number % 2 ** 32));
  return found;
}
