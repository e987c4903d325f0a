"""A certificate authority of one run, in a folder of its own, by openssl: certificates good and bad, and a list of those revoked."""

import os
import subprocess

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
database = $dir/index
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = private authority
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${{ENV::NAMES}}
"""


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.config = self.path("config")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(folder=folder))
        open(self.path("index"), "w").close()
        for name in "serial", "crlnumber":
            with open(self.path(name), "w") as f:
                f.write("1000\n")
        self._openssl("req", "-x509", *self._new_key("ca"), "-extensions", "authority", "-days", "2", "-out", self.path("ca.pem"))
        self.list_revoked()

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def pem(self):
        return self.path("ca.pem")

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", start=None, end=None):
        """Returns the files of a certificate and its key; times as YYYYMMDDHHMMSSZ."""
        request, chain = self.path(name + ".csr"), self.path(name + ".pem")
        self._openssl("req", "-new", *self._new_key(name), "-subj", "/CN=" + name, "-out", request)
        times = (["-startdate", start] if start else []) + (["-enddate", end] if end else [])
        self._openssl("ca", "-batch", "-notext", "-config", self.config, "-extensions", "leaf", *times,
                      "-in", request, "-out", chain, names=names)
        return chain, self.path(name + ".key")

    def revoke(self, name):
        self._openssl("ca", "-config", self.config, "-revoke", self.path(name + ".pem"))
        return self.list_revoked()

    def list_revoked(self):
        """Writes the list anew, whole or not at all; returns its file."""
        new, crl = self.path("crl.new"), self.path("crl.pem")
        self._openssl("ca", "-config", self.config, "-gencrl", "-out", new)
        os.replace(new, crl)
        return crl

    def _new_key(self, name):
        return ["-config", self.config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.path(name + ".key")]

    def _openssl(self, *words, names="DNS:unused"):
        run = subprocess.run(["openssl", *words], env=dict(os.environ, NAMES=names), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode:
            raise OSError("openssl %s: %s" % (words[0], run.stdout.strip()))
