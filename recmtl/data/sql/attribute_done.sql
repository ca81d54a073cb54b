-- What crediting needed on its way is given back. Replace: `scratch`.
DROP TABLE IF EXISTS scratch
