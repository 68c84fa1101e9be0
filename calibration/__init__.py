"""Plans that measure a bench or an array, and the dated records they leave."""
