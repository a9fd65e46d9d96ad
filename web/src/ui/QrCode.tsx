// A text as a QR code, drawn as SVG: black on white in both themes, since cameras read nothing else
// well. Not among the pieces of ui/index.ts: a page that shows one loads it when it does.
import { encode } from 'uqr';

const quietZone = 4; // Modules of white around it, as ISO/IEC 18004 wants.

export default function QrCode({ text, label }: { text: string; label: string }) {
  const { data } = encode(text, { ecc: 'M', border: quietZone });
  const path = data
    .flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')))
    .join('');
  return (
    <svg
      class="qr-code"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${data.length} ${data.length}`}
      shape-rendering="crispEdges"
    >
      <rect width="100%" height="100%" fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
