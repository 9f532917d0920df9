package failover

import "fmt"

// words are the names and words of one display language.
type words struct {
	network, disk                          string // formats with a number
	coreGroup, storage, name, address      string
	up, down, paused, joining, unknown     string
	online, offline, failed, partly, pend  string
	onlinePend, offlinePend, partitioned   string
	unavailable, groupH, nodeH, resourceH  string
	statusH, nodeIDH, networkH             string
	system, warning, phase                 string // formats of the last lines and of a failed phase
	listAll, listOne, listProps, listPrivs string
}

// lang returns the words of a locale.
//
// UNCONFIRMED: no transcript of cluster.exe in another language than English was found, and the
// names of core groups, core resources, networks and disks are what such systems are remembered to
// show. They are here so that nothing decides on them.
func lang(locale string) words {
	if w, ok := languages[locale]; ok {
		return w
	}
	return languages["en"]
}

var languages = map[string]words{
	"en": {
		network: "Cluster Network %d", disk: "Cluster Disk %d",
		coreGroup: "Cluster Group", storage: "Available Storage", name: "Cluster Name", address: "Cluster IP Address",
		up: "Up", down: "Down", paused: "Paused", joining: "Joining", unknown: "Unknown",
		online: "Online", offline: "Offline", failed: "Failed", partly: "Partially Online", pend: "Pending",
		onlinePend: "Online Pending", offlinePend: "Offline Pending", partitioned: "Partitioned", unavailable: "Unavailable",
		groupH: "Group", nodeH: "Node", resourceH: "Resource", statusH: "Status", nodeIDH: "Node ID", networkH: "Network",
		system: "System error %d has occurred (0x%08x).", warning: "System warning %d (0x%08x).",
		phase:   "This phase has failed for Cluster object '%s' with an error status of %d (0x%08X).",
		listAll: "Listing status for all available %s:", listOne: "Listing status for %s '%s':",
		listProps: "Listing properties for %s:", listPrivs: "Listing private properties for %s:",
	},
	"fr": {
		network: "Réseau de cluster %d", disk: "Disque de cluster %d",
		coreGroup: "Groupe du cluster", storage: "Stockage disponible", name: "Nom du cluster",
		address: "Adresse IP du cluster",
		up:      "Actif", down: "Inactif", paused: "Suspendu", joining: "Connexion", unknown: "Inconnu",
		online: "En ligne", offline: "Hors connexion", failed: "Échec", partly: "Partiellement en ligne", pend: "En attente",
		onlinePend: "En attente de mise en ligne", offlinePend: "En attente de mise hors connexion",
		partitioned: "Partitionné", unavailable: "Non disponible",
		groupH: "Groupe", nodeH: "Nœud", resourceH: "Ressource", statusH: "État", nodeIDH: "ID nœud", networkH: "Réseau",
		system: "L'erreur système %d s'est produite (0x%08x).", warning: "Avertissement système %d (0x%08x).",
		phase:   "Cette phase a échoué pour l'objet de cluster '%s' avec l'état d'erreur %d (0x%08X).",
		listAll: "État de tous les objets disponibles (%s) :", listOne: "État de %s '%s' :",
		listProps: "Propriétés de %s :", listPrivs: "Propriétés privées de %s :",
	},
	"de": {
		network: "Clusternetzwerk %d", disk: "Clusterdatenträger %d",
		coreGroup: "Clustergruppe", storage: "Verfügbarer Speicher", name: "Clustername", address: "Cluster-IP-Adresse",
		up: "Aktiv", down: "Inaktiv", paused: "Angehalten", joining: "Beitritt", unknown: "Unbekannt",
		online: "Online", offline: "Offline", failed: "Fehler", partly: "Teilweise online", pend: "Ausstehend",
		onlinePend: "Online ausstehend", offlinePend: "Offline ausstehend", partitioned: "Partitioniert",
		unavailable: "Nicht verfügbar",
		groupH:      "Gruppe", nodeH: "Knoten", resourceH: "Ressource", statusH: "Status", nodeIDH: "Knoten-ID",
		networkH: "Netzwerk",
		system:   "Systemfehler %d aufgetreten (0x%08x).", warning: "Systemwarnung %d (0x%08x).",
		phase:   "Diese Phase ist für das Clusterobjekt '%s' mit dem Fehlerstatus %d (0x%08X) gescheitert.",
		listAll: "Status aller verfügbaren Objekte (%s):", listOne: "Status von %s '%s':",
		listProps: "Eigenschaften von %s:", listPrivs: "Private Eigenschaften von %s:",
	},
	"ja": {
		network: "クラスター ネットワーク %d", disk: "クラスター ディスク %d",
		coreGroup: "クラスター グループ", storage: "使用可能記憶域", name: "クラスター名", address: "クラスター IP アドレス",
		up: "稼働", down: "停止", paused: "一時停止", joining: "参加中", unknown: "不明",
		online: "オンライン", offline: "オフライン", failed: "失敗", partly: "一部オンライン", pend: "保留中",
		onlinePend: "オンライン保留中", offlinePend: "オフライン保留中", partitioned: "パーティション分割", unavailable: "使用不可",
		groupH: "グループ", nodeH: "ノード", resourceH: "リソース", statusH: "状態", nodeIDH: "ノード ID", networkH: "ネットワーク",
		system: "システム エラー %d が発生しました (0x%08x)。", warning: "システム警告 %d (0x%08x)。",
		phase:   "クラスター オブジェクト '%s' のこのフェーズはエラー %d (0x%08X) で失敗しました。",
		listAll: "使用可能なすべての %s の状態:", listOne: "%s '%s' の状態:",
		listProps: "%s のプロパティ:", listPrivs: "%s のプライベート プロパティ:",
	},
}

// numbered fills a name with its number.
func numbered(format string, n int) string { return fmt.Sprintf(format, n) }

func (w words) node(state int) string {
	switch state {
	case 0:
		return w.up
	case 1:
		return w.down
	case 2:
		return w.paused
	case 3:
		return w.joining
	}
	return w.unknown
}

func (w words) resource(state int) string {
	switch state {
	case stateOnline:
		return w.online
	case stateOffline:
		return w.offline
	case stateFailed:
		return w.failed
	case stateOnlinePending:
		return w.onlinePend
	case stateOfflinePending:
		return w.offlinePend
	}
	return w.unknown
}

func (w words) group(state int) string {
	switch state {
	case 0:
		return w.online
	case 1:
		return w.offline
	case 2:
		return w.failed
	case 3:
		return w.partly
	case 4:
		return w.pend
	}
	return w.unknown
}

func (w words) netState(state int) string {
	switch state {
	case 0:
		return w.unavailable
	case 1:
		return w.down
	case 2:
		return w.partitioned
	case 3:
		return w.up
	}
	return w.unknown
}
