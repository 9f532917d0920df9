package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
)

// Digest is the SHA-256, in hexadecimal, of the site file and of the certificate files that it
// names, as Load read them. It tells whether a saved plan still belongs to the site. Secrets, keys
// and known_hosts are not in it: a new password or a newly trusted host changes no plan.
func (s *Site) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "site %d\n", len(s.Source))
	h.Write(s.Source)
	for _, line := range s.files {
		fmt.Fprintf(h, "\n%s", line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digestFiles remembers what the named files held. One that cannot be read is noted as such;
// whoever needs it says so.
func (s *Site) digestFiles() {
	var lines []string
	for _, n := range s.Nodes {
		for _, name := range []string{n.WinRM.CA, n.WinRM.Certificate} {
			if name == "" {
				continue
			}
			sum := "unreadable"
			if data, err := os.ReadFile(s.path(name)); err == nil {
				sum = fmt.Sprintf("%x", sha256.Sum256(data))
			}
			lines = append(lines, fmt.Sprintf("%q %s", name, sum))
		}
	}
	slices.Sort(lines)
	s.files = slices.Compact(lines)
}
