// Bytes as base64, with what every runtime has.

/** As many bytes as a call may have arguments in every runtime. */
const PIECE_BYTES = 32 << 10;

export function bytesToBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + PIECE_BYTES)));
  }
  return btoa(pieces.join(""));
}

/** Throws where the text is no base64. */
export function base64ToBytes(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let index = 0; index < characters.length; index += 1) bytes[index] = characters.charCodeAt(index);
  return bytes;
}
