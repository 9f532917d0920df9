package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"deploy/internal/node"
)

// certutilTool is certutil -hashfile FILE SHA256, which is all of it that is emulated. Until
// Windows Server 2012 R2 blanks stand between the bytes. Source: certutil, Microsoft Learn
func certutilTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) != 4 || !strings.EqualFold(argv[1], "-hashfile") || !strings.EqualFold(argv[3], "SHA256") {
		return Result{Code: 2, Stderr: "deploy lab: of certutil only -hashfile FILE SHA256 is emulated\r\n"}
	}
	data, err := ReadFile(c, argv[2])
	if err != nil {
		f := c.AsFail(err)
		return Result{Code: int(int32(uint32(f.Code))), Stdout: fmt.Sprintf("CertUtil: -hashfile %s: 0x%08x\r\nCertUtil: "+
			"%s\r\n",
			c.Pick([4]string{"command FAILED", "ÉCHEC de la commande", "Befehl ist FEHLGESCHLAGEN", "コマンド エラー"}),
			f.Code, f.Text)}
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	if !c.AtLeast(node.WS2016) {
		hash = fmt.Sprintf("% x", sum)
	}
	return Result{Stdout: c.Pick([4]string{"SHA256 hash of ", "SHA256 hachage de ", "SHA256-Hash von ",
		"SHA256 ハッシュ (対象 "}) + argv[2] + ":\r\n" + hash + "\r\n" +
		c.Pick([4]string{"CertUtil: -hashfile command completed successfully.",
			"CertUtil: -hashfile La commande s’est terminée correctement.",
			"CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.", "CertUtil: -hashfile コマンドは正常に完了しました。"}) + "\r\n"}
}
