package machine

import "fmt"

// Win32 error codes that the base behaviours answer with. Source: MicrosoftDocs/win32
// system-error-codes.
const (
	errFileNotFound       = 2
	errPathNotFound       = 3
	errAccessDenied       = 5
	errInvalidData        = 13
	errNotReady           = 21
	errSharing            = 32
	errNotSupported       = 50
	errBadNetPath         = 53
	errInvalidParameter   = 87
	errDiskFull           = 112
	errInvalidName        = 123
	errDirNotEmpty        = 145
	errExists             = 183
	errDirectory          = 267
	errDependentRunning   = 1051
	errServiceTimeout     = 1053
	errServiceRunning     = 1056
	errServiceDisabled    = 1058
	errServiceAbsent      = 1060
	errServiceNotActive   = 1062
	errDependencyFailed   = 1068
	errServiceLogon       = 1069
	errServiceMarked      = 1072
	errServiceExists      = 1073
	errShutdown           = 1115
	errUnrecognizedVolume = 1005
	errLogonFailure       = 1326
	errRPCUnavailable     = 1722
)

// Locales is the order of the languages in every table of texts.
func Locales() [4]string { return [4]string{"en", "fr", "de", "ja"} }

// Pick chooses the text of the machine's language; an empty one falls back to English.
func (c *Ctx) Pick(t [4]string) string { return pick(c.M.Locale, t) }

func pick(locale string, t [4]string) string {
	for i, l := range Locales() {
		if l == locale && t[i] != "" {
			return t[i]
		}
	}
	return t[0]
}

// Text is the system message of a Win32 code in the machine's language. The wording is for people:
// nothing may depend on it.
func (c *Ctx) Text(code int) string {
	if t, ok := c.B.Texts[code]; ok {
		return c.Pick(t)
	}
	if t, ok := systemTexts()[code]; ok {
		return c.Pick(t)
	}
	return fmt.Sprintf(c.Pick([4]string{"Unknown error (%d)", "Erreur inconnue (%d)", "Unbekannter Fehler (%d)",
		"不明なエラーです (%d)"}), code)
}

func systemTexts() map[int][4]string {
	return map[int][4]string{
		0: {"The operation completed successfully.", "L’opération a réussi.",
			"Der Vorgang wurde erfolgreich beendet.", "この操作を正しく終了しました。"},
		errFileNotFound: {"The system cannot find the file specified.", "Le fichier spécifié est introuvable.",
			"Das System kann die angegebene Datei nicht finden.", "指定されたファイルが見つかりません。"},
		errPathNotFound: {"The system cannot find the path specified.",
			"Le chemin d’accès spécifié est introuvable.", "Das System kann den angegebenen Pfad nicht finden.",
			"指定されたパスが見つかりません。"},
		errAccessDenied: {"Access is denied.", "Accès refusé.", "Zugriff verweigert", "アクセスが拒否されました。"},
		errInvalidData: {"The data is invalid.", "Les données ne sont pas valides.", "Die Daten sind unzulässig.",
			"データが無効です。"},
		errNotReady: {"The device is not ready.", "Le périphérique n’est pas prêt.",
			"Das Gerät ist nicht bereit.", "デバイスの準備ができていません。"},
		errSharing: {"The process cannot access the file because it is being used by another process.",
			"Le processus ne peut pas accéder au fichier car ce fichier est utilisé par un autre processus.",
			"Der Prozess kann nicht auf die Datei zugreifen, da sie von einem anderen Prozess verwendet wird.",
			"プロセスはファイルにアクセスできません。別のプロセスが使用中です。"},
		errNotSupported: {"The request is not supported.", "Cette demande n’est pas prise en charge.",
			"Die Anforderung wird nicht unterstützt.", "この要求はサポートされていません。"},
		errBadNetPath: {"The network path was not found.", "Le chemin réseau n’a pas été trouvé.",
			"Der Netzwerkpfad wurde nicht gefunden.", "ネットワーク パスが見つかりません。"},
		errInvalidParameter: {"The parameter is incorrect.", "Paramètre incorrect.", "Falscher Parameter.",
			"パラメーターが間違っています。"},
		errDiskFull: {"There is not enough space on the disk.", "Espace insuffisant sur le disque.",
			"Es steht nicht genug Speicherplatz auf dem Datenträger zur Verfügung.", "ディスクに十分な空き領域がありません。"},
		errInvalidName: {"The filename, directory name, or volume label syntax is incorrect.",
			"La syntaxe du nom de fichier, de répertoire ou de volume est incorrecte.",
			"Die Syntax für den Dateinamen, Verzeichnisnamen oder die Datenträgerbezeichnung ist falsch.",
			"ファイル名、ディレクトリ名、またはボリューム ラベルの構文が間違っています。"},
		errDirNotEmpty: {"The directory is not empty.", "Le répertoire n’est pas vide.",
			"Das Verzeichnis ist nicht leer.", "ディレクトリが空ではありません。"},
		errExists: {"Cannot create a file when that file already exists.",
			"Impossible de créer un fichier déjà existant.",
			"Eine Datei kann nicht erstellt werden, wenn sie bereits vorhanden ist.", "既に存在するファイルを作成することはできません。"},
		errDirectory: {"The directory name is invalid.", "Nom de répertoire non valide.",
			"Der Verzeichnisname ist ungültig.", "ディレクトリ名が無効です。"},
		errUnrecognizedVolume: {"The volume does not contain a recognized file system.",
			"Le volume ne contient pas de système de fichiers connu.",
			"Auf dem Volume befindet sich kein erkanntes Dateisystem.", "このボリュームは認識可能なファイル システムではありません。"},
		errDependentRunning: {"A stop control has been sent to a service that other running services are dependent on.",
			"Une commande d’arrêt a été envoyée à un service dont d’autres services en cours d’exécution dépendent.",
			"Ein Beendigungssteuerzeichen wurde an einen Dienst gesendet, von dem andere ausgeführte Dienste " +
				"abhängig sind.",
			"実行中のほかのサービスが依存しているサービスに停止コントロールが送信されました。"},
		errServiceTimeout: {"The service did not respond to the start or control request in a timely fashion.",
			"Le service n’a pas répondu assez vite à la demande de lancement ou de contrôle.",
			"Der Dienst antwortete nicht rechtzeitig auf die Start- oder Steuerungsanforderung.",
			"そのサービスは指定時間内に開始要求または制御要求に応答しませんでした。"},
		errServiceRunning: {"An instance of the service is already running.",
			"Une instance du service s’exécute déjà.", "Es wird bereits eine Instanz des Dienstes ausgeführt.",
			"サービスのインスタンスは既に実行中です。"},
		errServiceDisabled: {"The service cannot be started, either because it is disabled or because it has no " +
			"enabled devices associated with it.", "Le service ne peut pas être démarré parce qu’il est désactivé ou " +
			"qu’aucun périphérique activé ne lui est associé.", "Der Dienst kann nicht gestartet werden, da er " +
			"deaktiviert ist oder ihm keine aktivierten Geräte zugeordnet sind.",
			"無効になっているか、または関連付けられた有効なデバイスがないため、サービスを開始できません。"},
		errServiceAbsent: {"The specified service does not exist as an installed service.",
			"Le service spécifié n’existe pas en tant que service installé.",
			"Der angegebene Dienst ist kein installierter Dienst.", "指定されたサービスはインストールされたサービスとして存在しません。"},
		errServiceNotActive: {"The service has not been started.", "Le service n’a pas été démarré.",
			"Der Dienst wurde nicht gestartet.", "サービスは開始されていません。"},
		errDependencyFailed: {"The dependency service or group failed to start.",
			"Le service ou groupe de dépendance n’a pas pu démarrer.",
			"Der Abhängigkeitsdienst oder die Abhängigkeitsgruppe konnte nicht gestartet werden.",
			"依存関係サービスまたはグループを起動できませんでした。"},
		errServiceLogon: {"The service did not start due to a logon failure.",
			"Le service n’a pas pu démarrer en raison d’un échec d’ouverture de session.",
			"Der Dienst konnte wegen einer fehlerhaften Anmeldung nicht gestartet werden.", "ログオンに失敗したため、サービスを開始できませんでした。"},
		errServiceMarked: {"The specified service has been marked for deletion.",
			"Le service spécifié a été marqué pour suppression.", "Der angegebene Dienst wurde zum Löschen markiert.",
			"指定されたサービスは削除の対象としてマークされています。"},
		errServiceExists: {"The specified service already exists.", "Le service spécifié existe déjà.",
			"Der angegebene Dienst ist bereits vorhanden.", "指定されたサービスは既に存在します。"},
		errShutdown: {"A system shutdown is in progress.", "Un arrêt du système est en cours.",
			"Das System wird heruntergefahren.", "システムをシャットダウンしています。"},
		errLogonFailure: {"Logon failure: unknown user name or bad password.",
			"Échec d’ouverture de session : nom d’utilisateur inconnu ou mot de passe incorrect.",
			"Anmeldung fehlgeschlagen: unbekannter Benutzername oder falsches Kennwort.", "ログオン失敗: " +
				"ユーザー名を認識できないか、またはパスワードが間違っています。"},
		errRPCUnavailable: {"The RPC server is unavailable.", "Le serveur RPC n’est pas disponible.",
			"Der RPC-Server ist nicht verfügbar.", "RPC サーバーを利用できません。"},
	}
}
