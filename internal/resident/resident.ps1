param($reader, $nonce)
