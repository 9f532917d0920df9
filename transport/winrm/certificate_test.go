package winrm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deploy/internal/secret"
	"deploy/transport"
)

// TestClientCertificate: the certificate is shown to the server, and each request says that it is
// the logon.
func TestClientCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "deploy"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var shown []byte
	var authorization string
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, authorization = r.TLS.PeerCertificates[0].Raw, r.Header.Get("Authorization")
		w.Header().Set("Content-Type", plainType)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(faultBody("5")))
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	defer srv.Close()
	host, port := "127.0.0.1", srv.Listener.Addr().String()
	sum := sha256.Sum256(srv.Certificate().Raw)
	target := transport.Target{Node: "n1", Address: host, Port: atoi(port[strings.LastIndexByte(port, ':')+1:]),
		WinRM: transport.WinRM{
			HTTPS: true, Auth: "certificate", Pin: hex.EncodeToString(sum[:]),
			CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			KeyPEM:  secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))),
		}}
	_, err = New(Options{}).Dial(t.Context(), target)
	if FaultCode(err) != FaultAccessDenied {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(shown, der) || !strings.HasSuffix(authorization, "/secprofile/https/mutual") {
		t.Errorf("%d bytes of certificate, Authorization %q", len(shown), authorization)
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}
