package winapi

import (
	"errors"

	"golang.org/x/sys/windows/registry"

	"deploy/internal/node"
)

// DeployKey is the key below HKLM in which a machine keeps which controllers work on it, see
// package protocol.
const DeployKey = `SOFTWARE\deploy`

func ownerKey(root string) string { return root + `\Owner` }

// Owners serves owner.get. root is DeployKey, or another key in tests that share one registry.
func Owners(root string) ([]node.Row, error) {
	values, err := RegistryValues(`HKLM\` + ownerKey(root))
	if errors.Is(err, node.ErrNotFound) {
		return nil, nil
	}
	rows := make([]node.Row, 0, len(values))
	for _, v := range values {
		rows = append(rows, node.Row{"site": v.String("name"), "record": v.String("data")})
	}
	return rows, err
}

// SetOwner puts a site's owner record in place; "" removes it, and the keys that are empty then.
func SetOwner(root, site, record string) error {
	const op = "owner.set"
	if record != "" {
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, ownerKey(root),
			registry.SET_VALUE|registry.QUERY_VALUE|view64)
		if err != nil {
			return failed(op, err)
		}
		err = k.SetStringValue(site, record)
		if err == nil {
			err = flushKey(k) // an act must not reach the disk before what says whose it is
		}
		if err = errors.Join(err, k.Close()); err != nil {
			return failed(op, err)
		}
		return nil
	}
	if err := RegistryDelete(`HKLM\`+ownerKey(root), site); err != nil {
		return err
	}
	for _, key := range []string{ownerKey(root), root} {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|view64)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return failed(op, err)
		}
		info, err := k.Stat()
		if err = errors.Join(err, k.Close()); err != nil {
			return failed(op, err)
		}
		if info.ValueCount+info.SubKeyCount > 0 {
			return nil
		}
		if err := deleteKey(key); err != nil && !isMissing(err) {
			return failed(op, err)
		}
	}
	return nil
}
