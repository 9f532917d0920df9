package lab

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// keys are the lab's own: a certificate authority for HTTPS, and a seed that the machines' SSH host
// keys come from. They are kept, so that a lab that is started again is the same to its clients.
type keys struct {
	CA   []byte `json:"ca"`  // DER
	Key  []byte `json:"key"` // PKCS #8
	Seed []byte `json:"seed"`

	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

// loadKeys reads the keys of a lab, or makes them.
func loadKeys(dir string) (*keys, error) {
	path := filepath.Join(dir, "keys.json")
	k := &keys{}
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := k.make(); err != nil {
			return nil, fmt.Errorf("cannot make the lab's keys: %w", err)
		}
		if raw, err = json.Marshal(k); err != nil {
			return nil, fmt.Errorf("cannot write the lab's keys: %w", err)
		}
		if err := writeFile(path, raw, 0o600); err != nil {
			return nil, fmt.Errorf("cannot write the lab's keys: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("cannot read the lab's keys: %w", err)
	default:
		if err := json.Unmarshal(raw, k); err != nil {
			return nil, fmt.Errorf("cannot read the lab's keys in %s: %w", path, err)
		}
	}
	if k.ca, err = x509.ParseCertificate(k.CA); err != nil {
		return nil, fmt.Errorf("cannot read the lab's keys in %s: %w", path, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the lab's keys in %s: %w", path, err)
	}
	var ok bool
	if k.key, ok = key.(*ecdsa.PrivateKey); !ok || len(k.Seed) != 32 {
		return nil, fmt.Errorf("cannot read the lab's keys in %s: not as this program writes them", path)
	}
	return k, nil
}

func (k *keys) make() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "deploy lab"},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:           x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SignatureAlgorithm: x509.ECDSAWithSHA256}
	if k.CA, err = x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key); err != nil {
		return err
	}
	if k.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return err
	}
	k.Seed = make([]byte, 32)
	_, err = rand.Read(k.Seed)
	return err
}

// authority is the CA certificate in PEM.
func (k *keys) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.CA})
}

// certificate makes a machine's HTTPS certificate for its names and addresses, and for loopback,
// where the lab serves it.
func (k *keys) certificate(names ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SignatureAlgorithm: x509.ECDSAWithSHA256, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if n != "" {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, k.ca, &key.PublicKey, k.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, k.CA}, PrivateKey: key}, nil
}

// hostKey is a machine's SSH host key: the same every time.
func (k *keys) hostKey(machine string) (ssh.Signer, error) {
	seed := sha256.Sum256(append(append([]byte{}, k.Seed...), machine...))
	return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
}
