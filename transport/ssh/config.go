package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"

	"deploy/transport"
)

// effective fills what the inventory left open from the ssh_config file, if one is named. What the
// inventory says wins.
func (d *Dialer) effective(t transport.Target) (transport.Target, error) {
	if t.SSH.ConfigFile != "" {
		data, err := os.ReadFile(d.expand(t.SSH.ConfigFile))
		if err != nil {
			return t, fmt.Errorf("cannot read the SSH configuration: %w", err)
		}
		cfg, err := ssh_config.DecodeBytes(data)
		if err != nil {
			return t, fmt.Errorf("cannot read the SSH configuration %s: %w", t.SSH.ConfigFile, err)
		}
		if err := d.apply(&t, cfg); err != nil {
			return t, err
		}
	}
	if t.Port == 0 {
		t.Port = 22
	}
	if t.SSH.KeepAlive == 0 {
		t.SSH.KeepAlive = 15 * time.Second
	}
	return t, nil
}

// tokens puts the values of ssh_config(5), section TOKENS, into a path.
func (d *Dialer) tokens(text, alias string, t *transport.Target) string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return strings.NewReplacer("%%", "%", "%h", t.Address, "%n", alias, "%p", strconv.Itoa(port), "%r", t.User,
		"%d", d.o.Home).Replace(text)
}

func (d *Dialer) apply(t *transport.Target, cfg *ssh_config.Config) error {
	alias := t.Address
	get := func(key string) string {
		v, _ := cfg.Get(alias, key)
		return v
	}
	all := func(key string) []string {
		v, _ := cfg.GetAll(alias, key)
		return v
	}
	if v := get("HostName"); v != "" {
		// the key is looked up under the name that the user wrote, as ssh does with HostKeyAlias only;
		// keep ssh's way
		t.Address = strings.ReplaceAll(v, "%h", alias)
	}
	if v := get("User"); v != "" && t.User == "" {
		t.User = v
	}
	if v := get("Port"); v != "" && t.Port == 0 {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("bad Port %q for %s in the SSH configuration", v, alias)
		}
		t.Port = n
	}
	if v := get("ProxyJump"); v != "" && !strings.EqualFold(v, "none") && t.SSH.ProxyJump == "" {
		t.SSH.ProxyJump = v
	}
	if get("ProxyCommand") != "" && t.SSH.ProxyJump == "" {
		return fmt.Errorf("the SSH configuration has a ProxyCommand for %s, which deploy does not run: use ProxyJump", alias)
	}
	if v := get("HostKeyAlias"); v != "" && t.SSH.HostKeyAlias == "" {
		t.SSH.HostKeyAlias = v
	}
	for _, v := range all("IdentityFile") {
		// ssh passes over a file of the configuration that is not there; one of the site is an error
		path := d.expand(d.tokens(v, alias, t))
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			t.SSH.KeyFiles = append(t.SSH.KeyFiles, path)
		}
	}
	if strings.EqualFold(get("IdentitiesOnly"), "yes") {
		t.SSH.Agent = false
	}
	if v := get("UserKnownHostsFile"); v != "" && len(t.SSH.KnownHosts) == 0 {
		for _, f := range strings.Fields(v) {
			t.SSH.KnownHosts = append(t.SSH.KnownHosts, d.expand(f))
		}
	}
	if strings.EqualFold(get("StrictHostKeyChecking"), "accept-new") {
		t.SSH.AcceptNew = true
	}
	if v := get("ServerAliveInterval"); v != "" && t.SSH.KeepAlive == 0 {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			t.SSH.KeepAlive = time.Duration(n) * time.Second
		}
	}
	if v := get("ConnectTimeout"); v != "" && t.Timeout == 0 {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			t.Timeout = time.Duration(n) * time.Second
		}
	}
	return nil
}
