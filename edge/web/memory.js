// Memory of a download given back at once. Left to the collector it comes back late: at the pace of a download, 150 MB
// and more gather before it looks. A port whose other end is closed takes a buffer over and drops it; a buffer that is
// only detached would still be held by the browser's own side of it.

const { port1: nowhere, port2: end } = new MessageChannel();
end.close();

// Takes the whole buffer these bytes lie in: nobody may use it any more.
export function free(bytes) {
  nowhere.postMessage(null, [bytes.buffer]);
}

const LOOK_BYTES = 32 << 20; // of a download, with 2 MB of small things left of it
const NEVER_TOUCHED = 128 << 20; // bytes: above what a collector lets be taken without looking
let passed = 0;

// Has the collector look for what each record leaves, small things it would not look for before there are 90 MB of
// them: a large buffer that nobody writes to takes addresses but no memory, and counts as memory all the same.
export function collect(bytes) {
  passed += bytes;
  if (passed < LOOK_BYTES) return;
  passed = 0;
  try {
    free(new Uint8Array(NEVER_TOUCHED));
  } catch {
    // no such room: then the collector looks by itself
  }
}
