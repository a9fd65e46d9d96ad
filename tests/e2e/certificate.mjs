// Certificates that no authority signed, for the tests of TLS.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

// The files of a key and of its certificate, for a name and for this machine.
export function makeCertificate(folder, name) {
  const key = join(folder, 'key.pem'), certificate = join(folder, 'certificate.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', key, '-out', certificate, '-days', '30', '-subj', `/CN=${name}`, '-addext',
    `subjectAltName=DNS:${name},DNS:localhost,IP:127.0.0.1`], { stdio: 'ignore' });
  return { key, certificate };
}
